"""Where the config of a study lies."""

from pathlib import Path

CONFIG = Path("config")
DEMO = "demo"


def study_file(name: str, folder: Path = CONFIG) -> Path:
    """Return the config of a study: `config.yaml` of the demo, else `studies/{name}.yaml`.

    >>> study_file("ganz2024").as_posix(), study_file("demo").as_posix()
    ('config/studies/ganz2024.yaml', 'config/config.yaml')
    """
    return folder / "config.yaml" if name == DEMO else folder / "studies" / f"{name}.yaml"
