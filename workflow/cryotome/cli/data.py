"""Data of a study, which are here, and where the rest goes: `python -m cryotome.cli.data demo`."""

import sys
from collections.abc import Iterator
from pathlib import Path

from cryotome.core.cards import below
from cryotome.encoders.weights import has_weights_file, weights_status
from cryotome.runtime.interpreter import run_program
from cryotome.study.load import CONFIG, load_study
from cryotome.study.rule_inputs import own_embeddings_files
from cryotome.study.site import Site, folder_of
from cryotome.study.study import Study


def path_status(path: Path, images: int) -> str:
    """Return `have`, `PART` or `MISSING`, and the path; a folder needs so many files, or one."""
    if not path.is_dir():
        return f"{'have' if path.exists() else 'MISSING':<9}{path}"
    found = sum(file.is_file() and file.name[0] != "." for file in path.rglob("*"))
    if not found and not images:
        return f"MISSING  {path}: it is empty"
    if found < images:
        return f"PART     {path}: {found:,} of {images:,} images"
    return f"have     {path}"


def describe_required_data(study: Study, site: Site) -> str:
    """Return what a study needs: datasets, records that can be downloaded, weights."""
    lines: list[str] = []
    for name in dict.fromkeys(map(study.split_source, [*study.all_datasets, *study.targets])):
        lines += _dataset_lines(study, site, name)
    for name in study.downloads:
        card = study.download(name)
        lines.append(
            f"record {name}: {card['title']}, about {card['gigabytes']:g} GB, {card['source']}. "
            f"Licence: {card['licence']}"
        )
    if study.downloads:
        lines.append(
            f"`make data STUDY={study.name} FETCH=1` downloads what is missing of these records "
            f"into {site.data_root}; files put there by hand are kept."
        )
    for model in study.models:
        if has_weights_file(study.model(model)):
            lines.append(weights_status(study.model(model), model, site.weights_dir))
        for name in [*study.datasets, *study.targets]:
            for path in own_embeddings_files(study, site, name, model):
                lines.append(f"{path_status(path, 0)}: embeddings of {name} by {model}")
    return "\n".join(lines)


def _dataset_lines(study: Study, site: Site, name: str) -> Iterator[str]:
    card = study.dataset(name)
    yield f"{name}: {card['title']}. {card['source']}"
    for key, where in (card | card.get("labels", {})).items():
        if key in ("annotations", "images", "slide_table", "table"):
            path = below(folder_of(card, site.data_root), where)
            yield f"  {path_status(path, card.get('expect', {}).get('images', 0))}"
    for model, given in card.get("bags", {}).items():
        yield f"  {path_status(below(site.data_root, given['folder']), 0)}: bags of {model}"


def main(name: str, folder: Path = CONFIG) -> None:
    """Print what the study in `config/{name}.yaml` needs; `demo` is the default."""
    print(describe_required_data(*load_study(name, folder)))


if __name__ == "__main__":
    run_program(lambda: main(sys.argv[1]))
