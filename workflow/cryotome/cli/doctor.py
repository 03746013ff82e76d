"""Look whether a study can run here, a line each: `python -m cryotome.cli.doctor ganz2024`.

`ok` is in order, `MEND` says what to do, `--` is not needed by this study. Nothing is changed,
nothing is downloaded, and no token is shown.
"""

import os
import shutil
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from cryotome.cli.machine import (
    MEND,
    OK,
    Check,
    ask_slurm,
    check_gpu,
    check_locks,
    check_memory_of_jobs,
    check_openslide,
    check_python,
    check_requirements,
    check_slurm,
    check_torch,
)
from cryotome.cli.plan import missing_downloads, planned_jobs, uses_gpu
from cryotome.core.cards import Card, below, read_yaml
from cryotome.core.errors import CryotomeError, WeightsError
from cryotome.data.cells import read_cells
from cryotome.data.cohorts import check_patient_counts as check_labels
from cryotome.data.cohorts import read_labels
from cryotome.data.image_files import find_image
from cryotome.data.images import microns_per_pixel, open_image
from cryotome.data.slides.slide_list import given_bags, labelled_slides, slide_files
from cryotome.encoders.weights import HUB, find_weights, has_weights_file
from cryotome.runtime.gpu_lease import visible_devices
from cryotome.runtime.interpreter import restart_in_utf8
from cryotome.study.costs.prices import CostModel, Job
from cryotome.study.site import RESULTS, Site, check_writable, folder_of, resolve_site
from cryotome.study.study import Study

PATIENCE = 5  # s that the hub may take to answer


def check_disk(study: Study, site: Site, jobs: list[Job]) -> Iterator[Check]:
    """Hold what these jobs will write, and what lacks, against what is free, by file system."""
    prices = CostModel(study, uses_gpu(study, site))
    written = sum(prices.cost(job).disk for job in jobs)
    written += max(map(prices.in_passing, jobs), default=0)
    weights = {what: size for what, size in missing_downloads(study, site) if "weights" in what}
    data = {what: size for what, size in missing_downloads(study, site) if what not in weights}
    wanted = {RESULTS: written, site.weights_dir: sum(weights.values())}
    wanted[site.data_root] = sum(data.values())
    places = defaultdict(list)
    for place in wanted:
        places[_standing(place).stat().st_dev].append(place)
    for group in places.values():
        needed = sum(wanted[place] for place in group) / 1e9
        free = shutil.disk_usage(_standing(group[0])).free / 1e9
        names = ", ".join(f"{place} {wanted[place] / 1e9:,.1f} GB" for place in group)
        text = f"disk: {free:,.0f} GB free for {needed:,.1f} GB still to come ({names})"
        short = "make room, or let the folders be links to a larger disk"
        yield Check(MEND, f"{text}: {short}") if needed > free else Check(OK, text)


def _standing(place: Path) -> Path:
    """Return a folder, or the nearest one above it that exists."""
    return next(one for one in (place.absolute(), *place.absolute().parents) if one.exists())


def check_weights(card: Card, name: str, weights_dir: Path) -> Check:
    """Look for a model's weights; for gated ones that lack, ask the hub whether it gives them."""
    try:
        return Check(OK, f"weights of {name}: {find_weights(card, name, weights_dir)}")
    except WeightsError as error:
        if card["weights"].get("gated") and "hub" in card["weights"]:
            return Check(MEND, f"weights of {name} [gated]: {_gate(card['weights'], name)}")
        return Check(MEND, str(error))


def _gate(weights: Card, name: str) -> str:
    """Ask the hub for a file's head, and say what stands between it and the user."""
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
        size = get_hf_file_metadata(address, timeout=PATIENCE).size or 0
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status in (401, 403):
            return f"{token}, and the hub refuses it ({status}): {accept}, set HF_TOKEN, {fetch}"
        return f"the hub answers {status} for {weights['file']}: mend `weights:` in its card"
    except (httpx2.HTTPError, OSError, ValueError, RuntimeError) as error:
        return (
            f"{token}, and the hub is out of reach ({type(error).__name__}): {accept}, {fetch} on "
            "a machine with network, and copy its weights folder here"
        )
    return f"{token}, and the hub lets you have it, {size / 1e9:,.1f} GB: {fetch}"


def check_dataset(study: Study, site: Site, name: str) -> Check:
    """Read a dataset's annotations as the study will, count its cells and images, open one."""
    card = study.dataset(name)
    if "synthetic" in card:
        return Check(OK, f"dataset {name}: invented here by the study itself")
    if card["reader"] == "slides":
        return check_cohort(study, site, name)
    root, way = folder_of(card, site.data_root), f"`make data STUDY={study.name}`"
    if "download" not in card:
        way = "no record of it can be fetched: put it there, or correct `data_root`"
    lacking = [root / card[key] for key in ("annotations", "images")
               if key in card and not (root / card[key]).exists()]  # fmt: skip
    if lacking:
        return Check(MEND, f"dataset {name}: {' and '.join(map(str, lacking))} lack: {way}")
    annotations = below(root, card["annotations"]) if "annotations" in card else None
    try:
        cells = read_cells(annotations, below(root, card["images"]), card, name)
        wanted = {
            one: find_image(below(root, card["images"]), one) for one in cells["image"].unique()
        }
        gone = [one for one, path in wanted.items() if not path.exists()]
        counted = f"{len(cells):,} cells{' as expected' * ('expect' in card)}, "
        counted += f"{len(wanted) - len(gone):,} of {len(wanted):,} images"
        if gone:
            return Check(MEND, f"dataset {name}: {counted}, first missing {gone[0]}: {way}")
        return Check(OK, f"dataset {name}: {counted}; {_opened(next(iter(wanted.values())), card)}")
    except CryotomeError as error:
        return Check(MEND, f"dataset {name}: {error}")


def check_cohort(study: Study, site: Site, name: str) -> Check:
    """Count a cohort's labelled patients and their slides as the study will, open one."""
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
        return Check(MEND, f"dataset {name}: {error or 'none of its slides is on disk'}")
    mpp = f"{image.mpp:.3f} µm/px" if image.mpp else "no µm/px"
    return Check(
        OK,
        f"dataset {name}: {counted}; one is {image.size[0]:,} x {image.size[1]:,} px, {mpp}",
    )


def _opened(path: Path, card: Card) -> str:
    """Open an image and say its size and resolution."""
    image = open_image(path)
    size = f"{path.name} is {image.size[0]:,} x {image.size[1]:,} px"
    if image.mpp is None and "mpp" not in card and card["patch"]["resolution"] == "native":
        return f"{size}, µm/px not known and not needed"
    overrides = card.get("mpp_overrides_file")
    mpp = microns_per_pixel(image, path, card.get("mpp"), overrides=overrides)
    return f"{size} at {mpp:.3f} µm/px"


def run_checks(study: Study, site: Site, config: Path) -> Iterator[Check]:
    """Yield every line, each as soon as it is known."""
    yield check_python()
    yield check_requirements(Path("requirements.txt"))
    yield check_torch()
    yield check_openslide()
    partitions, why = ask_slurm()
    elsewhere = not why and any("gpu" in gres for *_, gres in partitions)
    real = study.config["device"] == "auto" and not study.synthetic
    yield from check_gpu(len(visible_devices({})), needed=real and not elsewhere)
    try:
        check_writable(RESULTS)
        RESULTS.mkdir(exist_ok=True)
        yield check_locks(RESULTS)
        device = ["device=job"] if uses_gpu(study, site) else []
        yield from check_disk(study, site, planned_jobs(config, *device))
    except CryotomeError as error:
        yield Check(MEND, str(error))
    for model in study.models:
        card = study.model(model)
        if has_weights_file(card):
            yield check_weights(card, model, site.weights_dir)
    for name in dict.fromkeys(map(study.home, study.all_datasets)):
        yield check_dataset(study, site, name)
    yield check_slurm(partitions, why, site.cluster)
    if not why:
        yield check_memory_of_jobs()


def main(name: str, folder: Path = Path("config")) -> bool:
    """Look at everything that the study in `config/{name}.yaml` needs, and print it.

    Returns
    -------
    whether nothing is to be mended
    """
    config = folder / f"{'config' if name == 'demo' else name}.yaml"
    site = resolve_site(read_yaml(config), folder)
    study = Study(site.study, folder, files=(str(config),))
    marks = []
    for finding in run_checks(study, site, config):
        print(finding, flush=True)
        marks.append(finding.mark)
    mend = marks.count(MEND)
    print(f"{mend} to mend for study {study.name!r}." if mend else f"Study {study.name!r} can run.")
    return not mend


if __name__ == "__main__":
    restart_in_utf8()
    try:
        sys.exit(0 if main(sys.argv[1]) else 1)
    except CryotomeError as error:
        sys.exit(str(error))
