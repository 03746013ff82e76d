"""A study loaded by its name: its config file, its cards, and the site it runs at."""

from pathlib import Path

from cryotome.core.cards import Card, read_yaml
from cryotome.study.checks import check_remote_code, checked_study
from cryotome.study.site import Site, resolve_site
from cryotome.study.study import Study

CONFIG = Path("config")


def config_file(name: str, folder: Path = CONFIG) -> Path:
    """Return the config file of a study: `config.yaml` of the demo, else one of `studies/`.

    >>> config_file("ganz2024").as_posix(), config_file("demo").as_posix()
    ('config/studies/ganz2024.yaml', 'config/config.yaml')
    """
    return folder / "config.yaml" if name == "demo" else folder / "studies" / f"{name}.yaml"


def load_site(name: str, folder: Path = CONFIG) -> Site:
    """Read the site of the study of that name; its cards are not read."""
    return resolve_site(read_yaml(config_file(name, folder)), folder)


def load_study(name: str, folder: Path = CONFIG) -> tuple[Study, Site]:
    """Read and check the study of that name, and the site's keys beside it.

    Raises
    ------
    CardError
        There is no such config, or it or one of its cards is wrong.
    """
    path = config_file(name, folder)
    return study_of(read_yaml(path), folder, (str(path),))


def study_of(config: Card, folder: Path, files: tuple[str, ...]) -> tuple[Study, Site]:
    """Check a config that was read from `files`, and take the site's keys out of it.

    Raises
    ------
    CardError
        It or one of its cards is wrong, or it runs code that the site does not allow.
    """
    site = resolve_site(config, folder)
    study = checked_study(site.study, folder, files)
    check_remote_code(study, allowed=site.allow_remote_code)
    return study, site
