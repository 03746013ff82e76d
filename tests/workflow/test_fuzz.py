"""Hostile files: some for every reader, damaged with fixed seeds, and some built by hand."""

import json
import pickle
import random
import re
import sqlite3
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import fuzz
import numpy as np
import pandas as pd
import pytest
import tifffile
import torch
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st

from cryotome.core.cards import read_yaml
from cryotome.core.errors import CardError, DataError, StoreError, WeightsError
from cryotome.core.files import sha256
from cryotome.data.cells import read_cells
from cryotome.data.images import open_image
from cryotome.encoders.checkpoint_file import read_checkpoint
from cryotome.learners.loop.checkpoints import Checkpoint
from cryotome.learners.predictions import read_predictions, write_predictions

pytestmark = pytest.mark.fuzz


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    return {name: tmp_path_factory.mktemp(name) for name in fuzz.READERS}


@pytest.mark.parametrize("name", fuzz.READERS)
def test_a_spoilt_file_is_read_or_refused_by_name(name, places, monkeypatch):
    monkeypatch.setattr(fuzz, "SHARED", Path("absent"))
    place = places[name]
    originals = sorted(fuzz._originals(name, place))
    seen = set()

    @settings(max_examples=25, derandomize=True, deadline=None, database=None)
    @given(st.integers(0, 2**32))
    def spoilt(seed):
        rng = random.Random(seed)
        source = rng.choice(originals)
        before, target = source.read_bytes(), fuzz._target(source, place)
        target.write_bytes(fuzz.spoil(before, rng, text=name in fuzz.TEXT))
        try:
            seen.add(said := fuzz.outcome(name, target))
            assert said in ("accepted", "refused")
        finally:
            if target == source:
                source.write_bytes(before)

    spoilt()
    assert seen


def test_the_fuzzer_calls_anything_but_a_sentence_a_finding(tmp_path, monkeypatch):
    for error, said in [(KeyError("x"), "KeyError: 'x'"), (DataError("no"), "does not name the")]:

        def read(path, error=error):
            raise error

        monkeypatch.setitem(fuzz.READERS, "cells", read)
        assert fuzz.outcome("cells", tmp_path / "a.csv").startswith(said)


# ---- pickle


class Runs:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return open, (str(self.marker), "w")


@pytest.mark.parametrize("form", ["zip", "legacy", "bare"])
def test_a_pickle_that_runs_code_is_refused_and_does_not_run(tmp_path, form, capsys):
    marker, path = tmp_path / "marker", tmp_path / "m.pt"
    content = {"step": 1, "weights": Runs(marker)}
    if form == "bare":
        path.write_bytes(pickle.dumps(content, protocol=2))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=form == "zip")
    with pytest.raises(WeightsError, match=r"m.pt holds Python objects|m.pt is broken"):
        read_checkpoint(path, "uni")
    assert Checkpoint(path).load() is None
    assert "m.pt is broken" in capsys.readouterr().err
    assert not marker.exists()
    torch.load(path, weights_only=False) if form != "bare" else pickle.loads(path.read_bytes())
    assert marker.exists(), "the file is as dangerous as this test believes"


def test_nothing_unpickles_anything_else():
    for path in (ROOT / "workflow").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        loads = re.findall(r"torch\.load\((?:[^()]|\([^()]*\))*\)", text)
        assert all("weights_only=True" in call for call in loads), path
        assert not re.search(r"allow_pickle=True|pickle\.loads?\(|joblib|yaml\.unsafe", text)


# ---- cards


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: !!python/object/apply:os.system ['true']", "the tag .* is not supported"),
        ("a: &x [1, 2]\nb: *x", r"\*alias. is not supported"),
        ("a: 1\nb: {c: 1, c: 2}", "'c' is given twice"),
        ("a: 1\nno: 2", "the key 'no' means False; put it in quotes"),
        ("a: .nan", "nan is not a finite number"),
        ("a:\n\t- 1", "cannot start any token"),
        ("[" * 3000, "recursion"),
        ("a: \xff".encode("latin-1"), "codec can't decode"),
        ("a: 1 #" + "x" * 1_000_000, "more than 1,000,000 characters"),
    ],
)
def test_yaml_that_does_what_no_card_needs_is_refused(tmp_path, text, said):
    path = tmp_path / "card.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(CardError, match=rf"(?s)card.yaml .*{said}"):
        read_yaml(path)


def test_a_date_is_text(tmp_path):
    (tmp_path / "card.yaml").write_text("notes: 2020-01-01\n", encoding="utf-8")
    assert read_yaml(tmp_path / "card.yaml") == {"notes": "2020-01-01"}


# ---- names


NAMES = [
    "../../etc/passwd",
    "/etc/passwd",
    "a/../../b",
    "C:\\a.tiff",
    "a\\b.tiff",
    "a\0b",
    "x" * 300,
]
NAMES += ["=HYPERLINK(1)", "+1", "-1.tiff", "@SUM(1)", "\t=1", "a\rb"]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_is_none_is_refused_by_every_reader(tmp_path, name):
    """It leads out of the folder, or a spreadsheet that opens cells.csv would run it."""
    domain = {"lab": {"title": "lab", "where": {}}}
    classes = [{"name": "a", "id": 1}, {"name": "b", "id": 2}]
    card = {"classes": classes, "domains": domain, "reading": {"box": 50}}
    rows = [{"image_id": 1, "category_id": k, "bbox": [0, 0, 50, 50], "id": k} for k in (1, 2)]
    content = {"images": [{"id": 1, "file_name": name}], "annotations": rows}
    (tmp_path / "a.json").write_text(json.dumps(content), encoding="utf-8")
    with sqlite3.connect(tmp_path / "a.sqlite") as base:
        base.execute("CREATE TABLE Slides (uid, filename)")
        base.execute("CREATE TABLE Annotations (uid, slide, type, agreedClass)")
        base.execute("CREATE TABLE Annotations_coordinates (annoId, coordinateX, coordinateY)")
        base.execute("INSERT INTO Slides VALUES (1, ?)", [name])
        for kind in (1, 2):
            base.execute("INSERT INTO Annotations VALUES (?, 1, 1, ?)", [kind, kind])
            base.execute("INSERT INTO Annotations_coordinates VALUES (?, 5, 5)", [kind])
    base.close()
    for file, reader in [("a.json", "midog_json"), ("a.sqlite", "sliderunner_sqlite")]:
        with pytest.raises(DataError, match=rf"{file}: the image .* cannot be used: .*Rename"):
            read_cells(tmp_path / file, tmp_path, card | {"reader": reader}, "d")


def test_a_view_that_never_ends_is_interrupted(tmp_path, monkeypatch):
    monkeypatch.setattr("cryotome.data.annotations.sliderunner.MAX_SECONDS", 0.3)
    with sqlite3.connect(tmp_path / "a.sqlite") as base:
        base.execute(
            "CREATE VIEW Annotations AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 "
            "FROM n) SELECT i AS uid, 1 AS slide, 1 AS type, 1 AS agreedClass FROM n"
        )
        base.execute("CREATE TABLE Slides (uid, filename)")
        base.execute("CREATE TABLE Annotations_coordinates (annoId, coordinateX, coordinateY)")
        base.execute("INSERT INTO Slides VALUES (1, 'a.tiff')")
        base.execute("INSERT INTO Annotations_coordinates VALUES (-1, 5, 5)")
    base.close()
    card = {"reader": "sliderunner_sqlite", "classes": [{"name": "a", "id": 1}]}
    with pytest.raises(DataError, match=r"(?s)a.sqlite is no SlideRunner database .*interrupted"):
        read_cells(tmp_path / "a.sqlite", tmp_path, card, "d")


# ---- images


def bomb_png(path):
    """100,000 x 100,000 pixels, 30 GB, in a few bytes."""

    def chunk(kind, content):
        return (
            struct.pack(">I", len(content))
            + kind
            + content
            + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(bytes(1000))), chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


def absurd(path, **tags):
    """A TIFF in which the values of one tag are overwritten."""
    tifffile.imwrite(path, np.zeros((64, 64, 3), "u1"), photometric="rgb", tile=(64, 64))
    with tifffile.TiffFile(path, mode="r+") as file:
        for name, value in tags.items():
            file.pages.first.tags[name].overwrite(value, dtype="I")


BOMBS = {
    "png": lambda p: bomb_png(p / "a.png"),
    "tile": lambda p: absurd(p / "a.tiff", TileWidth=2**30, TileLength=2**30),
    "width": lambda p: absurd(p / "a.tiff", ImageWidth=2**31 - 16, ImageLength=2**31 - 16),
    "samples": lambda p: absurd(p / "a.tiff", SamplesPerPixel=60_000),
    "compression": lambda p: absurd(p / "a.tiff", Compression=65_000),
}
READ = r"""
import re, sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from cryotome.data.images import open_image
from cryotome.core.errors import DataError
try:
    open_image(Path(sys.argv[1])).read(0, 0, 64, 64)
    print("read")
except DataError as error:
    print("refused" if "/a." in str(error) else error)
print(int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) // 1024)
"""


@pytest.mark.parametrize("kind", BOMBS)
def test_a_bomb_costs_neither_memory_nor_time(tmp_path, kind):
    BOMBS[kind](tmp_path)
    (path,) = tmp_path.iterdir()
    command = [sys.executable, "-c", READ, path, ROOT / "workflow"]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=60)
    said, megabytes = done.stdout.splitlines()
    assert said == "refused"
    assert int(megabytes) < 300


def test_a_bomb_says_how_large_it_would_be(tmp_path):
    bomb_png(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"a.png: the image has 100,000 x 100,000 pixels"):
        open_image(tmp_path / "a.png")


# ---- predictions of another place


def predicted(root, fold, seed=0):
    split = root / f"splits/d/random/fraction=1.0/fold={fold}.csv"
    split.parent.mkdir(parents=True, exist_ok=True)
    split.write_text(f"id,role\n{fold},test\n9,test\n", encoding="utf-8")
    split.with_suffix(".json").write_text('{"drawn": "stratified"}', encoding="utf-8")
    path = root / f"predictions/d/random/view=v/model=m/head=h/fraction=1.0/fold={fold}.csv"
    roles = pd.read_csv(split)
    how = {"split": split, "notes": {"model": "m", "view": "v", "cells_sha256": "c"}}
    write_predictions(path, roles.assign(label=[0, 1]), np.array([0.5, seed]), **how)
    return path


def test_predictions_of_another_place_or_edited_are_refused(tmp_path):
    one, other = predicted(tmp_path, 0), predicted(tmp_path, 1)
    assert len(read_predictions(one, cells_sha256="c")) == 2
    with pytest.raises(StoreError, match=r"fold=0.csv was made from other cells"):
        read_predictions(one, cells_sha256="another")
    whole, notes = one.read_bytes(), one.with_suffix(".json").read_bytes()
    one.write_bytes(other.read_bytes())
    with pytest.raises(
        StoreError, match=r"fold=0.csv does not match fold=0.json: it has another content"
    ):
        read_predictions(one)
    one.with_suffix(".json").write_bytes(other.with_suffix(".json").read_bytes())
    with pytest.raises(
        StoreError, match=r"fold=0.csv was made from another split than .*fold=0.csv"
    ):
        read_predictions(one)
    one.write_bytes(whole)
    one.with_suffix(".json").write_bytes(notes)
    moved = Path(str(one).replace("model=m", "model=n"))
    moved.parent.mkdir(parents=True)
    moved.write_bytes(whole)
    with pytest.raises(StoreError, match=r"Provenance file fold=0.json of .* is unreadable"):
        read_predictions(moved)
    moved.with_suffix(".json").write_bytes(notes)
    with pytest.raises(StoreError, match=r"it has another model"):
        read_predictions(moved)
    assert json.loads(notes)["csv_sha256"] == sha256(one)


def test_numbers_below_zero_stay_numbers(tmp_path):
    path = predicted(tmp_path, 0, seed=-0.3)
    assert read_predictions(path)["score"].tolist() == [0.5, -0.3]
