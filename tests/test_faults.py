"""One test per fault, by real injection into real jobs; docs/reliability.md lists them.

What cannot be injected from outside (a crash in native code, a file that goes at a certain
instant) is written into the copy's own sources.
"""

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import accidents
import pytest
from accidents import content

CUT, EMBED = "results/patches/tiny.h5", "results/embeddings/tiny/paper-fp32/{}.h5"
EMBED = EMBED.format(accidents.TINY["rows"][0]["model"])
SPLIT = "results/splits/tiny/random/fraction=1.0/fold=0.csv"
RULES = {CUT: "cut_patches", EMBED: "embed", SPLIT: "split"}
MOUNTS = subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode == 0
needs_mounts = pytest.mark.skipif(not MOUNTS, reason="may not mount (needs root and unshare)")


@pytest.fixture
def clone(tiny_study, tmp_path) -> Path:
    """A copy of the finished tiny study."""
    return shutil.copytree(tiny_study, tmp_path / "clone", symlinks=True)


def command(target: str) -> list[str]:
    return [*accidents.SNAKEMAKE, "--allowed-rules", RULES[target], "--", target]


def make(clone: Path, target: str, **environment: str) -> str:
    """Make one file again, and return what was said, after an x where it failed."""
    (clone / target).unlink(missing_ok=True)
    done = subprocess.run(
        command(target), cwd=clone, env=os.environ | environment, capture_output=True, text=True
    )
    return "x" * (done.returncode != 0) + done.stdout + done.stderr


def make_with_mounts(clone: Path, target: str, mounts: str) -> str:
    """The same where some folders are other file systems, for this command alone."""
    (clone / target).unlink(missing_ok=True)
    script = f'set -e\n{mounts}\nset +e\nexec "$@"'
    whole = ["unshare", "-m", "bash", "-c", script, "bash", *command(target)]
    done = subprocess.run(whole, cwd=clone, capture_output=True, text=True)
    return "x" * (done.returncode != 0) + done.stdout + done.stderr


def insert(clone: Path, file: str, before: str, line: str) -> None:
    """Write a line into the sources of the copy."""
    path = clone / "workflow" / file
    text = path.read_text()
    (indent,) = re.findall(rf"^( *){re.escape(before)}", text, re.M)
    path.write_text(text.replace(f"{indent}{before}", f"{indent}{line}\n{indent}{before}"))


def mend(clone: Path, file: str) -> None:
    shutil.copy(accidents.ROOT / "workflow" / file, clone / "workflow" / file)


def same(clone: Path, whole: Path, target: str) -> bool:
    return content(clone / target) == content(whole / target)


CRASH = 'import ctypes; ctypes.string_at(0) if path.name == "3.tiff" else None'
HANG = 'import os; os.read(os.pipe()[0], 1) if path.name == "3.tiff" else None'


def test_a_slide_that_crashes_its_reader_is_named_and_the_others_are_cut(clone, tiny_study):
    insert(clone, "cryotome/images.py", "if not path.exists():", CRASH)
    said = make(clone, CUT)
    assert said[0] == "x"
    assert "1 images of 'tiny' gave no patches; all others are cut and kept" in said
    assert "data/tiny/images/3.tiff crashes what reads it (SIGSEGV). Fetch it again." in said
    assert "Fatal Python error: Segmentation fault" in said
    mend(clone, "cryotome/images.py")
    assert "going on after 42 of 48 rows" in make(clone, CUT)
    assert same(clone, tiny_study, CUT)


def test_a_slide_that_hangs_its_reader_is_named_and_the_others_are_cut(clone, tiny_study):
    insert(clone, "cryotome/images.py", "if not path.exists():", HANG)
    said = make(clone, CUT, CRYOTOME_PATIENCE="2")
    assert "It made no progress for 2 s: no computing, no reading, no writing." in said
    assert 'images.py", line' in said
    assert "3.tiff crashes what reads it (no answer for 1 s). Fetch it again." in said
    mend(clone, "cryotome/images.py")
    assert "going on after 42 of 48 rows" in make(clone, CUT)
    assert same(clone, tiny_study, CUT)


def test_a_hung_job_is_ended_and_listed_at_the_end(clone, tiny_study):
    insert(
        clone,
        "scripts/split.py",
        "every = load_cells(cells)",
        "import os; os.read(os.pipe()[0], 1)",
    )
    said = make(clone, SPLIT, CRYOTOME_PATIENCE="2")
    assert said[0] == "x"
    assert re.search(r"split tiny, random, 1.0: It made no progress for 2 s", said)
    assert "the log holds what every thread was at" in said
    assert not (clone / SPLIT).exists()
    mend(clone, "scripts/split.py")
    make(clone, SPLIT)
    assert same(clone, tiny_study, SPLIT)


def test_a_job_that_is_preempted_says_so_and_goes_on(clone, tiny_study):
    (clone / EMBED).unlink()
    arguments = ["--allowed-rules", "embed", "--", EMBED]
    partial = clone / "results" / "partial" / "embed"
    start = time.monotonic()
    blow = ("job", signal.SIGTERM)
    assert accidents.break_off(clone, arguments, 0.0, blow, partial)
    said = (clone / "broken.log").read_text()
    assert "It was stopped by a signal (SIGTERM): preempted, over its time limit" in said
    assert "Run the same command again: it goes on from what is finished." in said
    assert time.monotonic() - start < 60
    make(clone, EMBED)
    assert same(clone, tiny_study, EMBED)


FULL = "mount -t tmpfs -o size=64k tmpfs {0}; head -c 65536 /dev/zero > {0}/filler"


@needs_mounts
@pytest.mark.parametrize("target", [CUT, SPLIT])
def test_a_full_disk_is_named_and_nothing_half_written_is_left(clone, tiny_study, target):
    folder = {CUT: "results/patches", SPLIT: "results/splits"}[target]
    said = make_with_mounts(clone, target, FULL.format(folder))
    assert said[0] == "x"
    assert re.search(
        rf"{folder}\S+: No space left on device. The disk is full. Make room and", said
    )
    assert not (clone / target).exists()
    make(clone, target)
    assert same(clone, tiny_study, target)
    assert not list((clone / "results").rglob("*.part"))


@needs_mounts
def test_a_full_disk_under_the_logs_alone_loses_no_work(clone, tiny_study):
    said = make_with_mounts(clone, CUT, FULL.format("results/logs"))
    assert said[0] != "x", said
    assert same(clone, tiny_study, CUT)


@needs_mounts
def test_a_disk_that_fills_while_rows_are_written_is_named(clone, tiny_study):
    """The store is as large as its disk, and another file takes a part of it."""
    insert(clone, "cryotome/patches.py", "with begun as grown:", "begun = _filled(begun, partial)")
    with open(clone / "workflow/cryotome/patches.py", "a") as file:
        file.write(
            "\n\nfrom contextlib import contextmanager\n\n\n@contextmanager\n"
            "def _filled(begun, partial):\n    with begun as grown:\n"
            "        try:\n            (partial / 'filler').write_bytes(bytes(10**7))\n"
            "        except OSError:\n            pass\n        yield grown\n"
        )
    mount = "mkdir -p results/partial; mount -t tmpfs -o size=2m tmpfs results/partial"
    said = make_with_mounts(clone, CUT, mount)
    assert said[0] == "x"
    assert "store.h5: No space left on device. The disk is full. Make room and rerun" in said
    mend(clone, "cryotome/patches.py")
    make(clone, CUT)
    assert same(clone, tiny_study, CUT)


@needs_mounts
@pytest.mark.parametrize("target", [CUT, SPLIT])
def test_a_read_only_folder_is_named(clone, tiny_study, target):
    folder = {CUT: "results/patches", SPLIT: "results/splits"}[target]
    mount = f"mount --bind {folder} {folder}; mount -o remount,bind,ro {folder}"
    said = make_with_mounts(clone, target, mount)
    assert said[0] == "x"
    assert "Read-only file system" in said
    make(clone, target)
    assert same(clone, tiny_study, target)


VANISHING = {
    "an image": (CUT, "scripts/cut_patches.py", "write_patches(", '(images / "3.tiff").unlink()', "3.tiff does not exist. Put the image there"),
    "the patch store": (EMBED, "scripts/embed.py", "write_embeddings(", "patches.unlink()", "No such file or directory"),
    "the audit": (SPLIT, "scripts/split.py", "every = load_cells(cells)", "audit.unlink()", "results/audits/tiny.csv: No such file or directory. It vanished"),
    "partial work": (CUT, "cryotome/patches.py", "grown.finish(store", "import shutil; shutil.rmtree(partial)", "No such file or directory"),
}  # fmt: skip


@pytest.mark.parametrize("what", VANISHING)
def test_a_file_that_vanishes_while_a_job_runs_is_named(clone, tiny_study, what):
    target, file, before, line, named = VANISHING[what]
    insert(clone, file, before, line)
    said = make(clone, target)
    assert said[0] == "x"
    assert named in said
    assert "Traceback" not in said
    assert not (clone / target).exists()
    mend(clone, file)
    shutil.copytree(tiny_study / "data", clone / "data", dirs_exist_ok=True)
    for path in ("results/audits/tiny.csv", CUT):
        if not (clone / path).exists():
            shutil.copy(tiny_study / path, clone / path)
    make(clone, target)
    assert same(clone, tiny_study, target)


def test_a_patch_store_that_is_removed_while_it_is_read_is_read_to_its_end(clone, tiny_study):
    insert(
        clone,
        "cryotome/extraction.py",
        "self._run(blocks, read, keep, count)",
        "patch_store.unlink()",
    )
    assert make(clone, EMBED)[0] != "x"
    assert same(clone, tiny_study, EMBED)


def test_a_folder_of_logs_that_vanishes_loses_no_work(clone, tiny_study):
    line = 'import shutil; shutil.rmtree("results/logs")'
    insert(clone, "scripts/split.py", "every = load_cells(cells)", line)
    said = make(clone, SPLIT)
    mend(clone, "scripts/split.py")
    if said[0] == "x":  # Snakemake wants the log that it was promised
        make(clone, SPLIT)
    assert same(clone, tiny_study, SPLIT)
