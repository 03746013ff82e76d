"""What several tests share: the repository, real data where it is at hand, a small cohort."""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from cryotome.core import step_versions
from cryotome.core.cards import Card, load_card
from cryotome.data.demo.mitoses import make_midog_set
from cryotome.data.patches import write_patches

if TYPE_CHECKING:
    from cryotome.report.page.results import StudyResults

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / "config"
SHARED = ROOT.parent / "shared" / "data"


def pytest_terminal_summary(terminalreporter, config: pytest.Config) -> None:
    """Say how to have the same order and the same random numbers again."""
    if seed := config.getoption("randomly_seed", None):
        terminalreporter.write_line(f"Order and random numbers: --randomly-seed={seed}")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs a GPU where there is none; torch is imported for these tests alone."""
    if item.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("no GPU here")


@pytest.fixture(autouse=True)
def _environment_stays() -> Iterator[None]:
    """Fail a test that leaves a variable that the next one, or its jobs, would read."""

    def read_by_us() -> dict[str, str]:
        ours = ("CRYOTOME_", "CUDA_", "HF_", "SLURM_", "SNAKEMAKE_")
        return {name: value for name, value in os.environ.items() if name.startswith(ours)}

    before = read_by_us()
    yield
    assert read_by_us() == before


@pytest.fixture
def shared() -> Path:
    """Folder of real data; the test is skipped where it is absent."""
    if not SHARED.exists():
        pytest.skip(f"real data are not at hand ({SHARED})")
    return SHARED


@pytest.fixture(scope="session")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's regions, drawn once."""
    folder = tmp_path_factory.mktemp("rois")
    make_midog_set(folder / "annotations.json", folder / "images", side=300)
    return folder


@pytest.fixture(scope="session")
def tissue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's class folders, drawn once: `training.csv` and `external.csv`, folders beside."""
    import runpy

    folder = tmp_path_factory.mktemp("tissue")
    make = runpy.run_path(str(ROOT / "workflow" / "scripts" / "make_demo_tissue.py"))["main"]
    make(folder / "training.csv", folder / "external.csv", step_versions.DEMO)
    return folder


@pytest.fixture(scope="session")
def demo_card() -> Card:
    """The demo's regions in smaller patches, which are quick."""
    card = load_card(CONFIG, "datasets", "demo_rois")
    return card | {"patch": card["patch"] | {"side": 32}}


@pytest.fixture(scope="session")
def store(cohort: Path, demo_card: Card) -> Path:
    """A patch store of 48 cells on 6 images, and its cells beside it."""
    from cryotome.data.cells import read_cells

    cells = read_cells(cohort / "annotations.json", cohort / "images", demo_card, "demo_rois")
    cells = cells[cells["image"].isin([f"{n:03d}.tiff" for n in (1, 2, 9, 10, 17, 18)])]
    cells = cells.groupby("image").head(8).reset_index(drop=True)
    cells = cells.assign(id=np.arange(len(cells)))
    cells.to_csv(cohort / "cells.csv", index=False)
    path = cohort / "patches.h5"
    cut(path, cohort / "cells.csv", cohort / "images", demo_card)
    return path


def cut(
    store: Path, cells: Path, images: Path, card: Card, broken: str = "refuse", threads: int = 2
) -> None:
    """Cut a patch store, its partial work beside it."""
    write_patches(
        store,
        cells,
        images,
        card,
        dataset="d",
        broken=broken,
        partial=store.parent / "partial",
        threads=threads,
    )


@pytest.fixture(scope="session")
def tiny_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone in which the tiny study of tests/tools/accidents.py has been made; change a copy of it."""
    import accidents

    def make(folder: Path) -> None:
        accidents.tiny(folder)
        accidents.run_to_the_end(folder)

    return made_once(tmp_path_factory, "tiny", make)


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """Return a folder that is made once a test run, by the worker that comes first."""
    base = factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder, made = shared / name, shared / f"{name}.made"
    with open(shared / f"{name}.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            shutil.rmtree(folder, ignore_errors=True)
            make(folder)
            made.touch()
    return folder


@pytest.fixture
def cells() -> pd.DataFrame:
    """1,000 cells on 40 slides of two domains, 400 positive."""
    rng = np.random.default_rng(0)
    slide = rng.integers(40, size=1000)
    label = rng.permutation(np.arange(1000) < 400).astype(int)
    domain = np.where(slide < 20, "left", "right")
    return pd.DataFrame({"id": np.arange(1000), "slide": slide, "domain": domain, "label": label})


def windows_of(cells: pd.DataFrame, side: int = 224, margin: int = 24) -> pd.DataFrame:
    """Place windows at native resolution that leave the image where the cell lies at its border."""
    corner = np.floor(cells[["x", "y"]] - side / 2).set_axis(["left", "top"], axis=1)
    place = cells["image"] if "image" in cells else cells["slide"]
    return corner.assign(id=cells["id"], side=side, margin=margin, place=place)


@pytest.fixture
def placed(cells: pd.DataFrame) -> pd.DataFrame:
    """The same cells at whole places of images of 300 px, one per slide."""
    x, y = np.random.default_rng(1).integers(0, 300, size=(2, len(cells)))
    return cells.assign(x=x, y=y, image=cells["slide"].astype(str))


PATIENTS = {  # by name of a cohort: one positive, one negative
    "tcga_crc": ["TCGA-5M-AAT6", "TCGA-3L-AA1B"],
    "cptac_crc": ["01CO005", "01CO001"],
}


def bring_patients(root: Path, card: Card, names: list[str]) -> None:
    """Write a table of two labelled patients in a cohort's form, and an empty slide of each."""
    said, (table,) = card["labels"], [root / card["labels"]["table"]]
    labels = [said["positive"][0], said["negative"][0]]
    rows = {said["patient"]: names, said["target"]: labels}
    rows |= {column: [values[0]] * 2 for column, values in said.get("where", {}).items()}
    table.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_excel(table, sheet_name=said.get("sheet", "Sheet1"), index=False)
    for name in names:
        (root / card["images"] / f"{name}-01Z-00-DX1.svs").touch()


@pytest.fixture(scope="session")
def data_root(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Empty annotation files: enough to plan a real study."""
    root = tmp_path_factory.mktemp("data")
    for kind in CONFIG.glob("datasets/*.yaml"):
        card = load_card(CONFIG, "datasets", kind.stem)
        if "synthetic" not in card:
            (root / card["images"]).mkdir(parents=True, exist_ok=True)
            if "annotations" in card:
                (root / card["annotations"]).parent.mkdir(parents=True, exist_ok=True)
                (root / card["annotations"]).touch()
            if card["reader"] == "slides":
                bring_patients(root, card, PATIENTS[kind.stem])
    return str(root)


@pytest.fixture(scope="session")
def page_tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of results of an invented study of four rows, from tests/tools/page_study.py."""
    from page_study import study_of, write_tables

    folder = tmp_path_factory.mktemp("invented")
    write_tables(folder, study_of(4, ["midog2022"]))
    return folder


@pytest.fixture
def g(page_tables: Path, tmp_path: Path) -> "StudyResults":
    """What the page knows of that study; change a copy of its files."""
    from page_study import study_of

    from cryotome.report.page.results import StudyResults
    from cryotome.study.gather_facts import page_facts

    folder = shutil.copytree(page_tables, tmp_path / "results") / "studies" / "invented"
    return StudyResults(folder, page_facts(study_of(4, ["midog2022"])), "today")


@pytest.fixture
def more(g: "StudyResults") -> "StudyResults":
    """The same with counts, calibration, cost and atlas."""
    from page_study import study_of, write_more

    write_more(g.results, study_of(4, ["midog2022"]))
    return g
