"""Feed damaged and hostile files to every reader, and count the outcomes.

    python tests/tools/fuzz.py --seconds 60 --seed 0                    # all readers, 60 s each
    python tests/tools/fuzz.py --seconds 10 cards weights_pt            # some

A reader may give a value, or end with an error of the library whose sentence names the file.
Anything else is a finding: another exception, a crash, more than 20 s, or 2 GB of memory. Each
reader works in a process of its own, so that one can be killed. Originals are what the library
writes, and real files from `../shared/data` where these are at hand. What led to a finding is
kept in the folder that `--keep` names. `tests/workflow/test_fuzz.py` tries a few with a fixed seed.
"""

import argparse
import io
import logging
import multiprocessing
import os
import random
import re
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stderr
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "workflow"))
CONFIG, SHARED = ROOT / "config", ROOT.parent / "shared" / "data"
LIMIT = 20.0  # s for one file
MEMORY = 2 << 30  # bytes that a reader may add to what its process had
ONE: dict[str, Any] = {"lab": {"title": "lab", "where": {}}}
NASTY = [
    b"NaN", b"-Infinity", b"1e400", b"null", b"true", b"{}", b"[]", b'""', b"-1", b"0", b"9" * 400,
    b'"../../etc/passwd"', b'"/etc/passwd"', b'"a\\u0000b"', b'"=cmd()"', b"'", b'"', b"[" * 5000,
    b"{a: " * 2000, b"!!python/object/apply:os.system ['true']", b"&a [*a]", b"\0", b"\xff\xfe",
    b"x" * 70000, b"<<: *x", b"no", b"2020-01-01", b"\t", b"0o7", b"1_0", b"\xef\xbb\xbf", b",,,",
]  # fmt: skip
WORDS = [
    bytes.fromhex(word) for word in ("00000000", "ffffffff", "7fffffff", "00000080", "01000000")
]


def spoil(content: bytes, rng: random.Random, *, text: bool) -> bytes:
    """Change a file in one to three ways."""
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        content = _spoil_text(content, rng) if text and rng.random() < 0.7 else _spoil(content, rng)
    return content


def _spoil_text(content: bytes, rng: random.Random) -> bytes:
    found = list(re.finditer(rb"-?[\w.]+", content)) or list(re.finditer(rb"(?s).", content))
    if not found:
        return rng.choice(NASTY)
    one, other = rng.choice(found), rng.choice(found)
    new = rng.choice(
        [rng.choice(NASTY), other.group(), b"", one.group() + b"0", b"-" + one.group()]
    )
    return content[: one.start()] + new + content[one.end() :]


def _spoil(content: bytes, rng: random.Random) -> bytes:
    size = len(content)
    if not size:
        return rng.choice(NASTY)
    near = min(size, rng.choice([64, 512, 4096, size]))  # headers lie at either end
    at = rng.randrange(near) if rng.random() < 0.7 else size - 1 - rng.randrange(near)
    length = min(rng.choice([1, 4, 16, 300, 5000]), size - at)
    part, other = content[at : at + length], rng.randrange(size)
    flipped = bytes([content[at] ^ (1 << rng.randrange(8))])
    return rng.choice([
        lambda: content[:at] + flipped + content[at + 1 :],
        lambda: content[:at] + flipped + content[at + 1 :],
        lambda: content[:at],
        lambda: content[:at] + bytes(length) + content[at + length :],
        lambda: content[:at] + part + content[at:],
        lambda: content[:at] + content[at + length :],
        lambda: content[:at] + content[other : other + length] + content[at + length :],
        lambda: content[:at] + rng.choice(WORDS) + content[at + 4 :],
        lambda: content[:at] + rng.randbytes(length) + content[at + length :],
    ])()  # fmt: skip


def _card(kind: str, name: str) -> dict[str, Any]:
    from cryotome.core.cards import load_card

    card = load_card(CONFIG, kind, name)
    return {key: value for key, value in card.items() if key != "expect"}


def _cells(path: Path, name: str, **changes: Any) -> object:
    from cryotome.data.cells import read_cells

    return read_cells(path, path.parent, _card("datasets", name) | changes, name)


def _midog(path: Path) -> object:
    made = "annotations" in path.name
    return _cells(path, "demo_rois") if made else _cells(path, "demo_rois", domains=ONE)


def _folders(path: Path) -> object:
    from cryotome.data.cells import read_cells

    return read_cells(path, path.parent / "images", _card("datasets", "amibr"), "amibr")


def _table(path: Path) -> object:
    from cryotome.data.cells import read_cells

    card = _card("datasets", "midog2021") | {"reader": "table", "domains": ONE}
    return read_cells(path, path.parent, card, "points")


def _image(path: Path) -> object:
    from cryotome.data.images import open_image

    image = open_image(path)
    (width, height), side = image.size, 64
    for x, y in [(0, 0), (width // 2, height // 2), (width - side, height - side)]:
        image.read(max(0, x), max(0, y), min(side, width), min(side, height))
    return image.size


def _store(path: Path, name: str) -> object:
    from cryotome.core.store import EMBEDDINGS, PATCHES, provenance, read_ids, read_rows

    provenance(path, PATCHES if name == "patch" else EMBEDDINGS)
    values = read_rows(path, name), read_ids(path)
    due = [np.load(path.parent / f"{part}.npy") for part in (name, "id")]
    assert all(np.array_equal(*pair) for pair in zip(values, due, strict=True)), "wrong numbers"
    return None


def _journal(path: Path) -> object:
    """Resume partial work of which one file is damaged: no row may be wrong."""
    from cryotome.runtime.resume import resumable_store

    folder = path.parent / "partial"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(path.parent / "whole", folder)
    shutil.copy(path, folder / path.name.split("-", 1)[1])
    values, how = np.load(path.parent / "embedding.npy"), {"passport": {}, "dtype": "f4"}
    with resumable_store(folder, "embedding", shape=(30, 8), ids=np.arange(30), **how) as store:
        for row in range(30):
            if not store.holds(row, 1):
                store.put(row, values[row : row + 1])
        store.finish(path.parent / "finished.h5", {"format": "cryotome embeddings", "version": 2})
    return _store(path.parent / "finished.h5", "embedding")


def _predictions(path: Path) -> object:
    from cryotome.learners.predictions import read_predictions

    return read_predictions(path.with_suffix(".csv"))


def _yaml(path: Path) -> object:
    from cryotome.core.cards import KINDS, read_yaml
    from cryotome.core.schemas import validate

    card = read_yaml(path)
    kind = next((schema for folder, schema in KINDS.items() if folder in path.name), "config")
    return validate(card, kind, path)


def _weights(path: Path) -> object:
    from cryotome.encoders.checkpoint_file import read_checkpoint

    return read_checkpoint(path, "m")


def _checkpoint(path: Path) -> object:
    from cryotome.core.errors import TrainingError
    from cryotome.learners.loop.checkpoints import Checkpoint

    said = io.StringIO()
    with redirect_stderr(said):
        state = Checkpoint(path).load()
    if state is None:
        raise TrainingError(said.getvalue())  # it starts again, and reports so
    return state


def _saved_cells(path: Path) -> object:
    from cryotome.data.cells import load_cells

    return load_cells(path)


def _originals(name: str, folder: Path) -> list[Path]:
    """Return files to damage, some of them written into the folder."""
    real = {
        "midog_json": ["midog2021/MIDOG.json"], "sliderunner": ["midog2021/MIDOG.sqlite"],
        "class_folders": ["amibr/AMI-BR.csv"],
        "image": ["slides/cmu_small_region.svs", "slides/stack_5.tiff", "slides/boxes.tiff",
                  "slides/kidney-48-5.tif", "slides/unreadable.svs"],
    }  # fmt: skip
    found = [SHARED / file for file in real.get(name, []) if (SHARED / file).exists()]
    return found + MAKERS.get(name, lambda _: [])(folder)


def _rois(folder: Path) -> list[Path]:
    from cryotome.data.demo.mitoses import make_midog_set

    make_midog_set(folder / "annotations.json", folder / "made", side=64)
    return [folder / "annotations.json"]


def _slides(folder: Path) -> list[Path]:
    from cryotome.data.demo.mitoses import make_sliderunner_set

    make_sliderunner_set(folder / "annotations.sqlite", folder / "made", side=256)
    return [folder / "annotations.sqlite"]


def _pictures(folder: Path) -> list[Path]:
    import tifffile
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 255, (96, 128, 3), dtype=np.uint8)
    for end in ("png", "jpg"):
        Image.fromarray(pixels).save(folder / f"a.{end}")
    how = {"photometric": "rgb", "resolution": (40_000, 40_000), "resolutionunit": 3}
    tifffile.imwrite(folder / "flat.tiff", pixels, **how)
    tifffile.imwrite(folder / "tiled.tiff", pixels, tile=(64, 64), **how)
    tifffile.imwrite(folder / "deflated.tiff", pixels, compression="zlib", **how)
    Image.fromarray(pixels).save(folder / "lzw.tiff", compression="tiff_lzw")
    return [p for p in folder.iterdir() if p.suffix in (".png", ".jpg", ".tiff")]


def _crops(folder: Path) -> list[Path]:
    """Class folders with an image for some lines of a metadata CSV."""
    from PIL import Image

    lines = ["uid,dataset,majority_atypical,x,y,slide"]
    for number, kind in enumerate(["Normal", "Atypical"] * 3):
        (folder / "images" / kind).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(folder / "images" / kind / f"MIDOG21_{number}.png")
        lines.append(f"{number},MIDOG21,{kind == 'Atypical'},1,2,{number + 1:03d}.tiff")
    (folder / "metadata.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return [folder / "metadata.csv"]


def _points(folder: Path) -> list[Path]:
    lines = [f"{n},{n},{1 + n % 2},00{n}.tiff,s{n}" for n in range(8)]
    (folder / "points.csv").write_text(
        "x,y,label,filename,slide\n" + "\n".join(lines) + "\n", encoding="utf-8"
    )
    return [folder / "points.csv"]


def _made_cells(folder: Path) -> list[Path]:
    lines = [f"{n},00{n}.tiff,s{n},{n},{n}.5,d,{n % 2}" for n in range(8)]
    (folder / "cells.csv").write_text(
        "id,image,slide,x,y,domain,label\n" + "\n".join(lines) + "\n", encoding="utf-8"
    )
    return [folder / "cells.csv"]


def _h5(folder: Path, name: str, values: np.ndarray, format_: str) -> list[Path]:
    from cryotome.runtime.resume import resumable_store

    np.save(folder / f"{name}.npy", values)
    np.save(folder / "id.npy", np.arange(len(values)))
    shape, ids = values.shape, np.arange(len(values))
    how: dict[str, Any] = {"dtype": values.dtype.str, "passport": {}}
    with resumable_store(folder / "work", name, shape=shape, ids=ids, **how) as store:
        for first in range(0, len(values), 10):
            store.put(first, values[first : first + 10])
        shutil.copytree(folder / "work", folder / "whole")
        store.finish(folder / "store.h5", {"format": format_, "version": 2, "card": "{}"})
    return [folder / "store.h5"]


def _patches(folder: Path) -> list[Path]:
    pixels = np.random.default_rng(0).integers(0, 255, (10, 12, 12, 3), dtype=np.uint8)
    return _h5(folder, "patch", pixels, "cryotome patches")


def _embeddings(folder: Path) -> list[Path]:
    values = np.random.default_rng(0).normal(size=(30, 8)).astype("f4")
    return _h5(folder, "embedding", values, "cryotome embeddings")


def _work(folder: Path) -> list[Path]:
    _embeddings(folder)
    return [folder / "whole" / name for name in ("journal", "passport.json", "store.h5")]


def _scored(folder: Path) -> list[Path]:
    from cryotome.learners.predictions import write_predictions

    split = folder / "fold=0.csv"
    split.write_text("id,role\n4,test\n5,test\n", encoding="utf-8")
    split.with_suffix(".json").write_text('{"drawn": "stratified"}', encoding="utf-8")
    place = folder / "predictions/d/random/view=v/model=m/head=h/fraction=1.0/fold=0.csv"
    roles = pd.DataFrame({"id": [4, 5], "role": "test"})
    how = {"split": split, "notes": {"model": "m", "view": "v", "cells_sha256": "c"}}
    write_predictions(place, roles.assign(label=[1, 0]), np.array([0.25, 0.5]), **how)
    return [place, place.with_suffix(".json")]


def _networks(folder: Path, *names: str) -> list[Path]:
    import torch
    from safetensors.torch import save_file

    state = {"a.weight": torch.randn(8, 4), "a.bias": torch.zeros(8)}
    save_file(state, folder / "m.safetensors")
    torch.save(state, folder / "m.pt")
    torch.save(state, folder / "old.pt", _use_new_zipfile_serialization=False)
    torch.save({"step": 3, "weights": state, "losses": [0.5, 0.25]}, folder / "checkpoint.pt")
    return [folder / name for name in names]


def _all_cards(folder: Path) -> list[Path]:
    made = []
    for path in CONFIG.rglob("*.yaml"):
        made.append(folder / "-".join(path.relative_to(CONFIG).parts))
        shutil.copy(path, made[-1])
    return sorted(made)


MAKERS: dict[str, Callable[[Path], list[Path]]] = {
    "midog_json": _rois, "sliderunner": _slides, "class_folders": _crops, "table": _points,
    "cells": _made_cells, "image": _pictures, "patch_store": _patches, "embedding_store": _embeddings,
    "partial_work": _work, "predictions": _scored, "cards": _all_cards,
    "weights_pt": lambda f: _networks(f, "m.pt", "old.pt"),
    "weights_safetensors": lambda f: _networks(f, "m.safetensors"),
    "checkpoint": lambda f: _networks(f, "checkpoint.pt"),
}  # fmt: skip
READERS: dict[str, Callable[[Path], object]] = {
    "midog_json": _midog,
    "sliderunner": lambda p: _cells(p, "demo_slides" if "annotations" in p.name else "midog2021"),
    "class_folders": _folders, "table": _table, "cells": _saved_cells, "image": _image,
    "patch_store": lambda p: _store(p, "patch"),
    "embedding_store": lambda p: _store(p, "embedding"), "partial_work": _journal,
    "predictions": _predictions, "cards": _yaml, "weights_pt": _weights,
    "weights_safetensors": _weights, "checkpoint": _checkpoint,
}  # fmt: skip
TEXT = {"midog_json", "class_folders", "table", "cells", "predictions", "cards"}


def outcome(name: str, path: Path) -> str:
    """Read one file: `accepted`, `refused`, or what is wrong with how it ended."""
    from cryotome.core.errors import CryotomeError

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        with redirect_stderr(io.StringIO()):
            READERS[name](path)
    except CryotomeError as error:
        said = str(error)
        named = path.stem in said or "finished" in said
        return "refused" if named else f"does not name the file: {said[:200]}"
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:200]}"
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    return "accepted" if grown < MEMORY else f"took {grown / 1e9:.1f} GB"


def _serve(name: str, pipe: Any) -> None:
    """Read files whose paths come through a pipe, under a limit of memory."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libtiff warns of every odd tag
    logging.disable()
    pipe.send("ready")
    while True:
        path = pipe.recv()
        pipe.send(outcome(name, path))


@dataclass
class Tally:
    """Outcomes of the files of one reader."""

    tried: int = 0
    accepted: int = 0
    refused: int = 0
    seconds: float = 0.0
    findings: list[str] = field(default_factory=list)


class Worker:
    """A process that reads, and that may hang or crash."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._start()

    def _start(self) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._pipe, other = spawn.Pipe()
        self._process = spawn.Process(target=_serve, args=(self._name, other), daemon=True)
        self._process.start()
        other.close()
        self._pipe.recv()

    def read(self, path: Path) -> str:
        """Return the outcome of one file; start a new process where this one died."""
        self._pipe.send(path)
        try:
            if self._pipe.poll(LIMIT):
                return self._pipe.recv()
            said = f"takes more than {LIMIT:g} s"
        except EOFError:
            said = "the process died"
        self.stop()
        said += f" (exit {self._process.exitcode})"
        self._start()
        return said

    def stop(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.join()


def fuzz(name: str, seconds: float, seed: int, keep: Path | None, most: int = 10**9) -> Tally:
    """Try damaged files on one reader, for a time or a number."""
    rng, tally = random.Random(f"{name} {seed}"), Tally()
    with tempfile.TemporaryDirectory() as place:
        originals = _originals(name, Path(place))
        worker = Worker(name)
        start = time.monotonic()
        while time.monotonic() - start < seconds and tally.tried < most:
            source = rng.choice(originals)
            spoilt = spoil(source.read_bytes(), rng, text=name in TEXT)
            target = _target(source, Path(place))
            kept = target.read_bytes() if target.exists() else None
            target.write_bytes(spoilt)
            said = worker.read(target)
            tally.tried += 1
            tally.accepted += said == "accepted"
            tally.refused += said == "refused"
            if said not in ("accepted", "refused"):
                tally.findings.append(f"{target.name}: {said}")
                if keep:
                    keep.mkdir(parents=True, exist_ok=True)
                    (keep / f"{name}-{len(tally.findings)}-{source.name}").write_bytes(spoilt)
            if kept is not None:
                target.write_bytes(kept)
            else:
                target.unlink()
        tally.seconds = time.monotonic() - start
        worker.stop()
    return tally


def _target(source: Path, place: Path) -> Path:
    """Return where the damaged file lies: predictions beside each other, the rest under a new name."""
    return source if "predictions" in source.parts else place / f"spoilt-{source.name}"


def main() -> None:
    """Read the command line, fuzz, print a table of figures; fail where something was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("readers", nargs="*", help=f"of {', '.join(READERS)}; all where none")
    parser.add_argument("--seconds", type=float, default=60, help="for each reader")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for files that led to findings")
    asked = parser.parse_args()
    found = {}
    print("| reader | inputs tried | seconds | accepted | refused with a message | findings |")
    print("|---|--:|--:|--:|--:|--:|")
    for name in asked.readers or READERS:
        tally = found[name] = fuzz(name, asked.seconds, asked.seed, asked.keep)
        print(
            f"| {name} | {tally.tried:,} | {tally.seconds:.0f} | {tally.accepted:,} | "
            f"{tally.refused:,} | {len(tally.findings)} |",
            flush=True,
        )
    lines = [f"{name}: {said}" for name, tally in found.items() for said in tally.findings]
    for line in {re.sub(r"\d+|0x\w+", "", line): line for line in lines}.values():
        print(line.strip())
    sys.exit(1 if lines else 0)


if __name__ == "__main__":
    main()
