"""A QuPath project of a study: `python -m cryotome.cli.qupath demo`.

`results/qupath/{study}/project.qpproj` has every image for which the study wrote a GeoJSON file.
Snakemake never writes there, so what people draw in QuPath is kept when a study runs again.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from cryotome.core.cards import below
from cryotome.core.errors import CryotomeError, DataError
from cryotome.data.image_files import find_image
from cryotome.data.slides.slide_list import slide_files
from cryotome.report.atlas.qupath_project import SCRIPT, write_project
from cryotome.runtime.interpreter import run_program
from cryotome.study.applications import applications, slide_applications
from cryotome.study.load import CONFIG, load_study
from cryotome.study.site import RESULTS, Site, folder_of
from cryotome.study.study import Study


def geojson_files(study: Study, results: Path = RESULTS) -> Iterator[Path]:
    """Yield the GeoJSON files of a study: its atlases, and what its models were applied to."""
    yield from sorted((results / "studies" / study.name / "atlas").glob("*/slides/*.geojson"))
    for each in [*applications(study), *slide_applications(study)]:
        yield from sorted((results / "applied" / each.target).glob("*/*.geojson"))


def image_of(study: Study, site: Site, file: Path) -> Path | None:
    """Return the image that a GeoJSON file lies over, or nothing where it is not on disk.

    Raises
    ------
    DataError
        The file is damaged.
    """
    try:
        about = json.loads(file.read_text(encoding="utf-8"))
        dataset, named = about["dataset"], about.get("slide") or about["image"]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{file} is no GeoJSON of cryotome ({error!r}). Remove it.") from error
    if "slide" in about:
        place = slide_files(study, site, dataset).get(named, "")
        return Path(place) if place else None
    card = study.dataset(dataset)
    image = find_image(below(folder_of(card, site.data_root), card["images"]), named)
    return image if image.is_file() else None


def main(name: str, folder: Path = CONFIG, results: Path = RESULTS) -> Path:
    """Write the project of a study and print what it has, and what it could not have.

    Raises
    ------
    CryotomeError
        The study has no GeoJSON file yet, or none of its images is on disk.
    """
    study, site = load_study(name, folder)
    found: dict[Path, list[Path]] = {}
    absent: list[Path] = []
    for file in geojson_files(study, results):
        if image := image_of(study, site, file):
            found.setdefault(image, []).append(file)
        else:
            absent.append(file)
    if absent:
        print(f"left out, as their images are not on disk: {len(absent):,}, such as {absent[0]}")
    if not found:
        raise CryotomeError(
            f"{name} has no GeoJSON file over an image that is on disk. They are written with its "
            f"error atlas, {results / 'studies' / name / 'atlas'}, and by `apply:`."
        )
    project = write_project(results / "qupath" / name, dict(sorted(found.items())))
    print(f"{project}: {len(found):,} images, {sum(map(len, found.values())):,} files of results.")
    print(f"Open it in QuPath 0.5 or later, then Automate > Project scripts > {SCRIPT}.")
    return project


if __name__ == "__main__":
    run_program(lambda: main(sys.argv[1]))
