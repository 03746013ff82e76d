"""Checks whether a study can run on this machine: `python -m cryotome.cli.doctor ganz2024`.

A line per check: `ok`, `FIX` with what to do, `note` of what no number tells apart, or `--` if the
study does not need it. Nothing is
changed or downloaded, and no token is printed.
"""

import os
import shutil
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from cryotome.cli.machine import (
    FIX,
    NOTED,
    OK,
    Check,
    ask_slurm,
    check_gpu,
    check_job_history,
    check_locks,
    check_openslide,
    check_python,
    check_requirements,
    check_slurm,
    check_torch,
)
from cryotome.cli.plan import missing_downloads, planned_jobs, with_all_slides
from cryotome.core.cards import Card, below
from cryotome.core.errors import CryotomeError, WeightsError
from cryotome.data.cells import read_cells
from cryotome.data.cohorts import check_patient_counts as check_labels
from cryotome.data.cohorts import read_labels
from cryotome.data.image_files import find_image
from cryotome.data.images import microns_per_pixel, open_image
from cryotome.data.slides.slide_list import given_bags, labelled_slides, slide_files
from cryotome.data.splits.cells import draw_split
from cryotome.encoders.weights import HUB, find_weights, has_weights_file
from cryotome.runtime.gpu_lease import visible_devices
from cryotome.runtime.interpreter import run_program
from cryotome.study.cautions import cautions
from cryotome.study.costs.gflop import Job
from cryotome.study.costs.prices import CostModel
from cryotome.study.load import CONFIG, config_file, load_study
from cryotome.study.site import (
    RESULTS,
    Site,
    check_writable,
    folder_of,
    uses_gpu,
    wants_gpu,
)
from cryotome.study.study import Study

TIMEOUT = 5  # s that the hub may take to answer


def check_disk(study: Study, site: Site, jobs: list[Job]) -> Iterator[Check]:
    """Compare the space that jobs and missing downloads need with free space, by file system."""
    prices = CostModel(study, uses_gpu(study, site))
    written = sum(prices.cost(job).disk for job in jobs)
    written += max(map(prices.byproduct_cost, jobs), default=0)
    missing = dict(missing_downloads(study, site))
    weights = sum(size for what, size in missing.items() if "weights" in what)
    wanted = {RESULTS: written, site.weights_dir: weights}
    wanted[site.data_root] = sum(missing.values()) - weights
    places = defaultdict(list)
    for place in wanted:
        places[_existing(place).stat().st_dev].append(place)
    for group in places.values():
        needed = sum(wanted[place] for place in group) / 1e9
        free = shutil.disk_usage(_existing(group[0])).free / 1e9
        names = ", ".join(f"{place} {wanted[place] / 1e9:,.1f} GB" for place in group)
        text = f"disk: {free:,.0f} GB free, {needed:,.1f} GB still needed ({names})"
        short = "free some space, or let the folders be links to a larger disk"
        yield Check(FIX, f"{text}: {short}") if needed > free else Check(OK, text)


def _existing(place: Path) -> Path:
    """Return a folder, or the nearest one above it that exists."""
    return next(one for one in (place.absolute(), *place.absolute().parents) if one.exists())


def check_weights(card: Card, name: str, weights_dir: Path) -> Check:
    """Find a model's weights; ask the hub for access to gated ones that are missing."""
    try:
        return Check(OK, f"weights of {name}: {find_weights(card, name, weights_dir)}")
    except WeightsError as error:
        if card["weights"].get("gated") and "hub" in card["weights"]:
            return Check(FIX, f"weights of {name} [gated]: {_gate(card['weights'], name)}")
        return Check(FIX, str(error))


def _gate(weights: Card, name: str) -> str:
    """Request the metadata of a gated file, and return what the user has to do to get it."""
    import httpx2
    from huggingface_hub import get_hf_file_metadata, get_token, hf_hub_url
    from huggingface_hub.errors import HfHubHTTPError

    page, kind = f"{HUB}/{weights['hub']}", "space" if weights.get("space") else None
    accept = f"accept its terms at {page}"
    fetch = f"run `make weights MODELS={name}`"
    token = "a token is set" if get_token() else "HF_TOKEN is not set"
    where = {"repo_type": kind, "revision": weights.get("revision")}
    where |= {"endpoint": os.environ.get("HF_ENDPOINT")}
    address = hf_hub_url(weights["hub"], weights["file"], **where)
    try:
        size = get_hf_file_metadata(address, timeout=TIMEOUT).size or 0
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status in (401, 403):
            return f"{token}, and the hub refuses it ({status}): {accept}, set HF_TOKEN, {fetch}"
        return f"the hub answers {status} for {weights['file']}: fix `weights:` in its card"
    except (httpx2.HTTPError, OSError, ValueError, RuntimeError) as error:
        return (
            f"{token}, and the hub cannot be reached ({type(error).__name__}): {accept}, {fetch} "
            "on a machine with network access, and copy its weights folder here"
        )
    return f"{token}, and the hub grants access, {size / 1e9:,.1f} GB: {fetch}"


def check_dataset(study: Study, site: Site, name: str) -> Check:
    """Read a dataset's annotations as the study will, count cells and images, open an image."""
    card = study.dataset(name)
    if "synthetic" in card:
        return Check(OK, f"dataset {name}: synthetic, made by the study itself")
    if card["reader"] == "slides":
        return check_cohort(study, site, name)
    root, way = folder_of(card, site.data_root), f"`make data STUDY={study.name}`"
    if "download" not in card:
        way = "it cannot be downloaded: put it there, or correct `data_root`"
    absent = [root / card[key] for key in ("annotations", "images")
               if key in card and not (root / card[key]).exists()]  # fmt: skip
    if absent:
        return Check(FIX, f"dataset {name}: {' and '.join(map(str, absent))} missing: {way}")
    annotations = below(root, card["annotations"]) if "annotations" in card else None
    try:
        cells = read_cells(annotations, below(root, card["images"]), card, name)
        wanted = {
            one: find_image(below(root, card["images"]), one) for one in cells["image"].unique()
        }
        missing = [one for one, path in wanted.items() if not path.exists()]
        counted = f"{len(cells):,} cells{' as expected' * ('expect' in card)}, "
        counted += f"{len(wanted) - len(missing):,} of {len(wanted):,} images"
        if missing:
            way = f"correct its name in {annotations}, or {way}" if annotations else way
            return Check(FIX, f"dataset {name}: {counted}, first missing {missing[0]}: {way}")
        if name in study.datasets:
            _draw_slide_folds(study, name, cells)
        return Check(OK, f"dataset {name}: {counted}; {_opened(next(iter(wanted.values())), card)}")
    except CryotomeError as error:
        return Check(FIX, f"dataset {name}: {error}")


def _draw_slide_folds(study: Study, name: str, cells: pd.DataFrame) -> None:
    """Draw each fold of whole slides, as `split_cells` will.

    Raises
    ------
    SplitError
        There are fewer slides than parts.
    """
    for scheme in study.schemes(name):
        card = study.scheme(scheme)
        if card["split_by"] == "slides":
            for fold in study.folds:
                draw_split(cells, card, scheme=scheme, fraction="1.0", fold=int(fold))


def check_cohort(study: Study, site: Site, name: str) -> Check:
    """Count a cohort's labelled patients and their slides as the study will, open a slide."""
    card = study.dataset(name)
    try:
        files, mine = slide_files(study, site, name), labelled_slides(study, site, name)
        table = below(site.data_root, card["labels"]["table"])
        labels = read_labels(table, card["labels"])
        counted = f"{labels['TARGET'].notna().sum():,} labelled patients"
        if "expect" in card:
            check_labels(labels, card["expect"], table)
            counted += " as expected"
        counted += f"; {len(mine):,} slides of labelled patients among {len(files):,}"
        for model, given in card.get("bags", {}).items():
            bags = given_bags(str(below(site.data_root, given["folder"])), mine, name)
            counted += f"; bags of {model} for {len(bags):,} of them"
        if "images" not in card:
            return Check(OK, f"dataset {name}: {counted}")
        image = open_image(Path(next(path for path in map(files.__getitem__, mine) if path)))
    except (CryotomeError, StopIteration) as error:
        return Check(FIX, f"dataset {name}: {error or 'none of its slides is on disk'}")
    mpp = f"{image.mpp:.3f} µm/px" if image.mpp else "no µm/px"
    return Check(
        OK,
        f"dataset {name}: {counted}; one is {image.size[0]:,} x {image.size[1]:,} px, {mpp}",
    )


def _opened(path: Path, card: Card) -> str:
    """Open an image, and return its size and resolution."""
    image = open_image(path)
    size = f"{path.name} is {image.size[0]:,} x {image.size[1]:,} px"
    if image.mpp is None and "mpp" not in card and card["patch"]["resolution"] == "native":
        return f"{size}, µm/px not known and not needed"
    overrides = card.get("mpp_overrides_file")
    mpp = microns_per_pixel(image, path, card.get("mpp"), overrides=overrides)
    return f"{size} at {mpp:.3f} µm/px"


def run_checks(study: Study, site: Site, config: Path) -> Iterator[Check]:
    """Yield the result of every check as soon as it is known."""
    yield check_python()
    yield check_requirements(Path("requirements.txt"))
    yield check_torch()
    yield check_openslide()
    partitions, why = ask_slurm()
    elsewhere = not why and any("gpu" in gres for *_, gres in partitions)
    needed = study.config["device"] == "auto" and wants_gpu(study) and not elsewhere
    yield from check_gpu(len(visible_devices({})), needed=needed)
    try:
        check_writable(RESULTS)
        RESULTS.mkdir(exist_ok=True)
        yield check_locks(RESULTS)
        device = ["device=per_job"] if uses_gpu(study, site) else []
        jobs = with_all_slides(study, planned_jobs(config, *device))
        yield from check_disk(study, site, jobs)
    except CryotomeError as error:
        yield Check(FIX, str(error))
    for model in study.models:
        card = study.model(model)
        if has_weights_file(card):
            yield check_weights(card, model, site.weights_dir)
    for name in dict.fromkeys(map(study.split_source, [*study.all_datasets, *study.targets])):
        yield check_dataset(study, site, name)
    for caution in cautions(study):
        yield Check(NOTED, caution)
    yield check_slurm(partitions, why, site.cluster)
    if not why:
        yield check_job_history()


def main(name: str, folder: Path = CONFIG) -> bool:
    """Check and print everything that the study in `config/{name}.yaml` needs.

    Returns
    -------
    whether nothing has to be fixed
    """
    study, site = load_study(name, folder)
    marks = []
    for check in run_checks(study, site, config_file(name, folder)):
        print(check, flush=True)
        marks.append(check.mark)
    count = marks.count(FIX)
    print(
        f"{count} to fix for study {study.name!r}." if count else f"Study {study.name!r} can run."
    )
    return not count


if __name__ == "__main__":
    run_program(lambda: main(sys.argv[1]))
