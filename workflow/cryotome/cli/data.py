"""Say what a study needs and where to put it: `python -m cryotome.cli.data ganz2024`."""

import sys
from pathlib import Path

from cryotome.core.cards import below, read_yaml
from cryotome.core.errors import CryotomeError
from cryotome.encoders.weights import has_weights_file, weights_status
from cryotome.runtime.interpreter import restart_in_utf8
from cryotome.study.checks import checked_study
from cryotome.study.site import Site, folder_of, resolve_site
from cryotome.study.study import Study


def main(name: str, folder: Path = Path("config")) -> None:
    """Print the shopping list of the study in `config/{name}.yaml`; `demo` is the default."""
    site = resolve_site(read_yaml(folder / f"{'config' if name == 'demo' else name}.yaml"), folder)
    print(describe_required_data(checked_study(site.study, folder), site))


if __name__ == "__main__":
    restart_in_utf8()
    try:
        main(sys.argv[1])
    except CryotomeError as error:
        sys.exit(str(error))


def _state(path: Path, images: int) -> str:
    """Say whether a file or a folder is there, and of a folder whether it has so many files."""
    if not path.is_dir():
        return f"{'have' if path.exists() else 'LACK'}  {path}"
    found = sum(file.is_file() and file.name[0] != "." for file in path.rglob("*"))
    if not found and not images:
        return f"LACK  {path}: it is empty"
    return f"PART  {path}: {found:,} of {images:,} images" if found < images else f"have  {path}"


def describe_required_data(study: Study, site: Site) -> str:
    """Say where datasets and weights must lie, what is there, and which records can be fetched."""
    lines = []
    for name in dict.fromkeys(map(study.split_source, study.all_datasets)):
        card = study.dataset(name)
        lines.append(f"{name}: {card['title']}. {card['source']}")
        for key, where in (card | card.get("labels", {})).items():
            if key in ("annotations", "images", "slide_table", "table"):
                path = below(folder_of(card, site.data_root), where)
                lines.append(f"  {_state(path, card.get('expect', {}).get('images', 0))}")
        for model, given in card.get("bags", {}).items():
            path = below(site.data_root, given["folder"])
            lines.append(f"  {_state(path, 0)}: bags of {model}")
    for name in study.downloads:
        card = study.download(name)
        lines.append(
            f"record {name}: {card['title']}, about {card['gigabytes']:g} GB, {card['source']}. "
            f"Licence: {card['licence']}"
        )
    if study.downloads:
        lines.append(
            f"`make data STUDY={study.name} FETCH=1` fetches what lacks of these records into "
            f"{site.data_root}; files put there by hand are kept."
        )
    for model in study.models:
        if has_weights_file(study.model(model)):
            lines.append(weights_status(study.model(model), model, site.weights_dir))
    return "\n".join(lines)
