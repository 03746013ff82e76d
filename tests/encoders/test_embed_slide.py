import importlib.util
import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
from conftest import CONFIG, ROOT

import cryotome.encoders.embed_slide
from cryotome.core import step_versions
from cryotome.core.cards import load_card, tiling_of, without_notes
from cryotome.core.errors import CardError, DataError, StoreError
from cryotome.data.demo.cohorts import DemoCohort
from cryotome.data.demo.slides import make_cohort_slides
from cryotome.data.images import open_image
from cryotome.data.slides.tile_grid import read_tile
from cryotome.data.slides.tile_store import read_tiles, write_tiles
from cryotome.encoders.bag_store import read_bag
from cryotome.encoders.colour_histogram import colour_histogram
from cryotome.encoders.embed_slide import write_bag
from cryotome.encoders.embedders import ComputeSettings, ModelView, make_embedder

COLOUR, NETWORK = "colour_histogram", "resnet10t_random"


def make_cohort(folder):
    """DC-001-DX1 and its tiles, and the glass of DC-004-DX2 and its none."""
    make_cohort_slides(DemoCohort("DC", 14, side=320), folder)
    card = tiling_of(load_card(CONFIG, "datasets", "demo_cohort"), "classify")
    for name in ("DC-001-DX1", "DC-004-DX2"):
        how = {"dataset": "d", "slide": name, "partial": folder / "partial"}
        write_tiles(folder / f"{name}.h5", folder / f"{name}.tiff", card, **how)
    return folder


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return make_cohort(tmp_path_factory.mktemp("cohort"))


def model_of(name, view="paper-fp32", **changes):
    return ModelView(name, load_card(CONFIG, "models", name) | changes, view)


def compute_in(folder, threads=1):
    return ComputeSettings(folder, "cpu", threads, folder / "batches")


def embed(cohort, folder, slide="DC-001-DX1", model=COLOUR):
    bag, slide = folder / "b.h5", cohort / f"{slide}.tiff"
    tiles, compute = slide.with_suffix(".h5"), compute_in(folder, threads=2)
    write_bag(bag, tiles, slide, model_of(model), compute, partial=folder / "partial")
    return bag


def test_a_bag_holds_the_colours_of_the_slides_tiles_in_order(cohort, tmp_path):
    bag = read_bag(embed(cohort, tmp_path), model=COLOUR, view="paper-fp32")
    tiles = read_tiles(cohort / "DC-001-DX1.h5")
    image = open_image(cohort / "DC-001-DX1.tiff")
    pixels = np.stack([read_tile(image, *xy, reach=64.0, side=32) for xy in tiles.coords])
    assert bag.features.dtype == np.float32 and bag.coords.dtype == np.int64
    assert (bag.coords == tiles.coords).all() and len(bag.coords) > 10
    assert (bag.features == colour_histogram(pixels, bins=16)).all()
    assert not (tmp_path / "partial").exists()


def test_a_network_sees_the_tile_through_the_transform_of_the_view(cohort, tmp_path):
    """`card` makes 224 px of the tiles of 32 px, `paper` gives them as they are."""
    paper = read_bag(embed(cohort, tmp_path, model=NETWORK), model=NETWORK, view="paper-fp32")
    assert paper.features.shape == (len(paper.coords), 512)
    assert np.isfinite(paper.features).all() and paper.features.std() > 0
    tiles = read_tiles(cohort / "DC-001-DX1.h5")
    transform = {"card": {"resize": 64, "crop": None, "interpolation": "bicubic"}}
    image = open_image(cohort / "DC-001-DX1.tiff")
    pixels = np.stack([read_tile(image, *xy, reach=64.0, side=32) for xy in tiles.coords])
    for view, seen in (("paper-fp32", paper.features), ("card-fp32", None)):
        model, compute = model_of(NETWORK, view, transform=transform), compute_in(tmp_path)
        direct = make_embedder(model, model.geometry(32), compute).embed(pixels)
        if seen is None:
            slide = cohort / "DC-001-DX1.tiff"
            files = tmp_path / "c.h5", slide.with_suffix(".h5"), slide
            write_bag(*files, model, compute, partial=tmp_path / "partial")
            seen = read_bag(tmp_path / "c.h5", model=NETWORK, view=view).features
            assert not np.allclose(seen, paper.features, atol=1e-3)
        assert np.allclose(seen, direct, atol=1e-5)


def test_a_slide_without_tissue_gives_an_empty_bag_that_says_why(cohort, tmp_path, capsys):
    bag = read_bag(embed(cohort, tmp_path, "DC-004-DX2", NETWORK), model=NETWORK, view="paper-fp32")
    assert bag.features.shape == (0, 512) and bag.coords.shape == (0, 2)
    assert bag.attributes["status"] == "no tissue"
    assert "d, slide DC-004-DX2: an empty bag, no tissue" in capsys.readouterr().err


def test_a_slide_that_is_not_at_hand_needs_no_file(cohort, tmp_path):
    how = {"dataset": "d", "slide": "x", "partial": tmp_path / "partial"}
    card = tiling_of(load_card(CONFIG, "datasets", "demo_cohort"), "classify")
    write_tiles(tmp_path / "x.h5", None, card, **how)
    compute, files = compute_in(tmp_path), (tmp_path / "b.h5", tmp_path / "x.h5", None)
    write_bag(*files, model_of(COLOUR), compute, partial=tmp_path / "partial")
    bag = read_bag(tmp_path / "b.h5", model=COLOUR, view="paper-fp32")
    assert bag.attributes["status"] == "missing"


def test_a_tile_that_cannot_be_read_marks_the_slide_not_the_cohort(
    cohort, tmp_path, monkeypatch, capsys
):
    def torn(image, coords, **how):
        yield np.zeros((32, 32, 3), np.uint8)
        raise DataError("s.tiff cannot be read (torn). Fetch it again.")

    monkeypatch.setattr(cryotome.encoders.embed_slide, "tile_pixels", torn)
    bag = read_bag(embed(cohort, tmp_path), model=COLOUR, view="paper-fp32")
    assert (bag.attributes["status"], len(bag.features)) == ("broken", 0)
    assert "an empty bag, broken: s.tiff cannot be read" in capsys.readouterr().err
    assert not (tmp_path / "partial").exists()


def crash(*_):
    """Stand for a slide that crashes its reader."""
    os.kill(os.getpid(), signal.SIGSEGV)
    yield


def kill(cohort, folder):
    """Embed in blocks of four tiles, and die after the second."""
    words = [sys.executable, "-c", KILLED, str(folder), str(cohort)]
    env = os.environ | {"PYTHONPATH": os.pathsep.join([".", "workflow", "tests", "tests/tools"])}
    done = subprocess.run(words, cwd=ROOT, env=env, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert (folder / "partial" / "at_work").exists() and not (folder / "b.h5").exists()


def test_what_a_kill_left_is_gone_on_with(cohort, tmp_path, capsys):
    kill(cohort, tmp_path)
    again = read_bag(embed(cohort, tmp_path), model=COLOUR, view="paper-fp32").features
    assert re.search(r"partial: resuming after 8 of \d\d rows", capsys.readouterr().err)
    whole = read_bag(embed(cohort, tmp_path), model=COLOUR, view="paper-fp32").features
    assert (again == whole).all()


def test_a_slide_that_crashes_its_reader_is_named_by_the_next_attempt(
    cohort, tmp_path, monkeypatch
):
    kill(cohort, tmp_path)
    monkeypatch.setattr(cryotome.encoders.embed_slide, "_pixels", crash)
    bag = read_bag(embed(cohort, tmp_path), model=COLOUR, view="paper-fp32")
    assert (bag.attributes["status"], len(bag.features)) == ("broken", 0)
    assert "crashes the process that reads it (SIGSEGV)" in bag.attributes["reason"]


KILLED = """
import os, signal, sys
from pathlib import Path
import cryotome.encoders.embed_slide
from cryotome.runtime.resume import ResumableStore
from tests.encoders.test_embed_slide import embed

put = ResumableStore.put
def killed(self, first, values, stamp):
    put(self, first, values, stamp)
    if first == 4:
        os.kill(os.getpid(), signal.SIGKILL)
ResumableStore.put = killed
cryotome.encoders.embed_slide.TILES_PER_READ = 4
embed(Path(sys.argv[2]), Path(sys.argv[1]))
"""


def test_several_blocks_give_what_one_gives(cohort, tmp_path, monkeypatch):
    one = read_bag(embed(cohort, tmp_path, model=NETWORK), model=NETWORK, view="paper-fp32")
    model = model_of(NETWORK)
    step = make_embedder(model, model.geometry(32), compute_in(tmp_path)).step
    assert step >= len(one.features)  # a processor takes more of these at once than a slide has
    monkeypatch.setattr(cryotome.encoders.embed_slide, "TILES_PER_READ", 5)
    many = read_bag(embed(cohort, tmp_path), model=COLOUR, view="paper-fp32")
    monkeypatch.undo()
    assert (
        many.features == read_bag(embed(cohort, tmp_path), model=COLOUR, view="paper-fp32").features
    ).all()


def test_another_slide_than_was_tiled_is_refused(cohort, tmp_path):
    with pytest.raises(
        StoreError, match=r"DC-001-DX1.h5 was cut from another file than .*DC-003-DX1.tiff"
    ):
        write_bag(
            tmp_path / "b.h5", cohort / "DC-001-DX1.h5", cohort / "DC-003-DX1.tiff",
            model_of(COLOUR), compute_in(tmp_path), partial=tmp_path / "partial",
        )  # fmt: skip


def test_a_network_that_takes_another_size_says_so(cohort, tmp_path):
    with pytest.raises(CardError, match="takes multiples of 14 px, not 32"):
        embed(cohort, tmp_path, model="dinov2_vits14_random")


def script(name):
    spec = importlib.util.spec_from_file_location(
        name, ROOT / "workflow" / "scripts" / f"{name}.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_scripts_go_from_a_slide_to_its_bag_and_the_list(cohort, tmp_path):
    card = tiling_of(load_card(CONFIG, "datasets", "demo_cohort"), "classify")
    for name, files in (("DC-001-DX1", [cohort / "DC-001-DX1.tiff"]), ("gone", [])):
        script("tile_slide").main(
            files, tmp_path / f"{name}.h5", tmp_path / f"{name}.png", step_versions.TILES, card, "d", name,
            tmp_path / "partial",
        )  # fmt: skip
        assert (tmp_path / f"{name}.png").exists()
        script("embed_slide").main(
            [tmp_path / f"{name}.h5"], files, [tmp_path / "bags" / f"{name}.h5"], step_versions.BAGS,
            load_card(CONFIG, "models", COLOUR), COLOUR, "paper-fp32", tmp_path / "partial",
            tmp_path / "batches", tmp_path, "cpu", 2,
        )  # fmt: skip
    script("list_tiles").main(
        [tmp_path / "DC-001-DX1.h5", tmp_path / "gone.h5"], tmp_path / "l.csv"
    )
    lines = (tmp_path / "l.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "slide,status,mpp,width,height,reason,tiles,tissue_mm2"
    assert lines[1].startswith("DC-001-DX1,ok,0.5,320,320,,1")
    assert lines[2] == "gone,missing,,0,0,its file is not at hand,0,0.0"
    first, gone = (
        read_bag(tmp_path / "bags" / f"{n}.h5", model=COLOUR, view="paper-fp32")
        for n in ("DC-001-DX1", "gone")
    )
    assert len(first.features) > 10 and len(gone.features) == 0


def test_tables_and_tilings_by_hand(cohort, tmp_path):
    """The command line takes no slide at all as well."""
    card = without_notes(tiling_of(load_card(CONFIG, "datasets", "demo_cohort"), "classify"))
    words = [
        "--slide", "--tiles", tmp_path / "t.h5", "--picture", tmp_path / "t.png", "--recipe", step_versions.TILES,
        "--card", card, "--dataset", "d", "--name", "s", "--partial", tmp_path / "partial",
    ]  # fmt: skip
    path = ROOT / "workflow" / "scripts" / "tile_slide.py"
    done = subprocess.run(
        [sys.executable, path, *map(str, words)], env={"PYTHONPATH": str(ROOT / "workflow")},
        capture_output=True, encoding="utf-8",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "d, slide s: missing: its file is not at hand" in done.stderr
