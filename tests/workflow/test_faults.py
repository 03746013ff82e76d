"""One test per fault, by real injection into real jobs; docs/reference/reliability.md lists them.

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
import h5py
import pytest
import warm_snakemake
import yaml
from accidents import content, numbers

pytestmark = pytest.mark.fault

CUT, EMBED = "results/patches/tiny.h5", "results/embeddings/tiny/paper-fp32/{}.h5"
EMBED = EMBED.format(accidents.TINY["rows"][0]["model"])
SPLIT = "results/splits/tiny/random/fraction=1.0/fold=0.csv"
RULES = {CUT: "cut_patches", EMBED: "embed", SPLIT: "split_cells"}
MOUNTS = subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode == 0
needs_mounts = pytest.mark.skipif(not MOUNTS, reason="may not mount (needs root and unshare)")


@pytest.fixture
def clone(tiny_study, tmp_path) -> Path:
    """A copy of the finished tiny study."""
    return shutil.copytree(tiny_study, tmp_path / "clone", symlinks=True)


def command(target: str) -> list[str]:
    return [*accidents.SNAKEMAKE, "--allowed-rules", RULES[target], "--", target]


def make(clone: Path, target: str, **environment: str) -> str:
    """Make one file again, and return the output, with an x before it where the run failed."""
    (clone / target).unlink(missing_ok=True)
    code, said = warm_snakemake.call(
        clone, *command(target)[1:], environment=os.environ | environment
    )
    return "x" * (code != 0) + said


def make_with_mounts(clone: Path, target: str, mounts: str) -> str:
    """Do as `make`, with some folders on other file systems for this command alone."""
    (clone / target).unlink(missing_ok=True)
    script = f'set -e\n{mounts}\nset +e\nexec "$@"'
    whole = ["unshare", "-m", "bash", "-c", script, "bash", *command(target)]
    done = subprocess.run(whole, cwd=clone, capture_output=True, encoding="utf-8")
    return "x" * (done.returncode != 0) + done.stdout + done.stderr


def insert(clone: Path, file: str, before: str, line: str) -> None:
    """Write a line into the sources of the copy."""
    path = clone / "workflow" / file
    text = path.read_text(encoding="utf-8")
    (indent,) = re.findall(rf"^( *){re.escape(before)}", text, re.M)
    path.write_text(
        text.replace(f"{indent}{before}", f"{indent}{line}\n{indent}{before}"), encoding="utf-8"
    )


def restore(clone: Path, file: str) -> None:
    shutil.copy(accidents.ROOT / "workflow" / file, clone / "workflow" / file)


def same(clone: Path, whole: Path, target: str) -> bool:
    return content(clone / target) == content(whole / target)


CRASH = 'import ctypes; ctypes.string_at(0) if path.name == "3.tiff" else None'
HANG = 'import os; os.read(os.pipe()[0], 1) if path.name == "3.tiff" else None'


def test_a_slide_that_crashes_its_reader_is_named_and_the_others_are_cut(clone, tiny_study):
    insert(clone, "cryotome/data/images.py", "if not path.is_file():", CRASH)
    said = make(clone, CUT)
    assert said[0] == "x"
    assert "1 images of 'tiny' gave no patches; all others are cut and kept" in said
    assert (
        "data/tiny/images/3.tiff crashes the process that reads it (SIGSEGV). Fetch it again."
        in said
    )
    log = (clone / "results/logs/cut_patches/tiny.log").read_text(encoding="utf-8")
    assert log.count("Fatal Python error: Segmentation fault") == 2  # the job's and the child's
    restore(clone, "cryotome/data/images.py")
    assert "resuming after 42 of 48 rows" in make(clone, CUT)
    assert same(clone, tiny_study, CUT)


def test_a_slide_that_hangs_its_reader_is_named_and_the_others_are_cut(clone, tiny_study):
    insert(clone, "cryotome/data/images.py", "if not path.is_file():", HANG)
    said = make(clone, CUT, CRYOTOME_PATIENCE="10")  # a child has to begin within it
    assert "It made no progress for 10 s: no computing, no reading, no writing." in said
    assert 'images.py", line' in (clone / "results/logs/cut_patches/tiny.log").read_text(
        encoding="utf-8"
    )
    assert "3.tiff crashes the process that reads it (no answer for 5 s). Fetch it again." in said
    restore(clone, "cryotome/data/images.py")
    assert "resuming after 42 of 48 rows" in make(clone, CUT)
    assert same(clone, tiny_study, CUT)


def test_a_hung_job_is_ended_and_listed_at_the_end(clone, tiny_study):
    insert(
        clone,
        "scripts/split_cells.py",
        "every = mark_listed(",
        "import os; os.read(os.pipe()[0], 1)",
    )
    said = make(clone, SPLIT, CRYOTOME_PATIENCE="2")
    assert said[0] == "x"
    assert re.search(r"split_cells tiny, random, 1.0, 0: It made no progress for 2 s", said)
    assert "the log has the stack of every thread" in said
    assert not (clone / SPLIT).exists()
    restore(clone, "scripts/split_cells.py")
    make(clone, SPLIT)
    assert same(clone, tiny_study, SPLIT)


def test_a_job_that_is_preempted_says_so_and_goes_on(clone, tiny_study):
    (clone / EMBED).unlink()
    arguments = ["--allowed-rules", "embed", "--", EMBED]
    partial = clone / "results" / "partial" / "embed"
    start = time.monotonic()
    blow = ("job", signal.SIGTERM)
    assert accidents.break_off(clone, arguments, 0.0, blow, partial)
    said = (clone / "broken.log").read_text(encoding="utf-8")
    assert "It was stopped by a signal (SIGTERM): preempted, over its time limit" in said
    assert "Run the same command again: it resumes from the finished work." in said
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
    insert(
        clone, "cryotome/data/patches.py", "with begun as grown:", "begun = _filled(begun, partial)"
    )
    with open(clone / "workflow/cryotome/data/patches.py", "a", encoding="utf-8") as file:
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
    restore(clone, "cryotome/data/patches.py")
    make(clone, CUT)
    assert same(clone, tiny_study, CUT)


@needs_mounts
@pytest.mark.parametrize("target", [CUT, SPLIT])
def test_a_read_only_folder_is_named(clone, tiny_study, target):
    folder = {CUT: "results/patches", SPLIT: "results/splits"}[target]
    mount = f"mount --bind {folder} {folder}; mount -o remount,bind,ro {folder}"
    (clone / SPLIT).with_suffix(".json").unlink()  # else Snakemake itself would find it first
    said = make_with_mounts(clone, target, mount)
    assert said[0] == "x"
    assert "Read-only file system" in said
    make(clone, target)
    assert same(clone, tiny_study, target)


VANISHING = {
    "an image": (CUT, "scripts/cut_patches.py", "write_patches(", '(images / "3.tiff").unlink()', "3.tiff does not exist or is no file. Put it there"),
    "the patch store": (EMBED, "scripts/embed.py", "write_embeddings(", "patches.unlink()", "No such file or directory"),
    "the audit": (SPLIT, "scripts/split_cells.py", "every = mark_listed(", "audit.unlink()", "results/audits/tiny.csv: No such file or directory. It does not exist or was removed"),
    "partial work": (CUT, "cryotome/data/patches.py", "grown.finish(store", "import shutil; shutil.rmtree(partial)", "No such file or directory"),
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
    restore(clone, file)
    shutil.copytree(tiny_study / "data", clone / "data", dirs_exist_ok=True)
    for path in ("results/audits/tiny.csv", CUT):
        if not (clone / path).exists():
            (clone / path).parent.mkdir(exist_ok=True)
            shutil.copy(tiny_study / path, clone / path)
    make(clone, target)
    assert same(clone, tiny_study, target)


def test_a_patch_store_that_is_removed_while_it_is_read_is_read_to_its_end(clone, tiny_study):
    insert(
        clone,
        "cryotome/encoders/inference.py",
        "self._run(blocks, read, keep, count)",
        "patch_store.unlink()",
    )
    assert make(clone, EMBED)[0] != "x"
    assert same(clone, tiny_study, EMBED)


def test_a_folder_of_logs_that_vanishes_loses_no_work(clone, tiny_study):
    line = 'import shutil; shutil.rmtree("results/logs")'
    insert(clone, "scripts/split_cells.py", "every = mark_listed(", line)
    said = make(clone, SPLIT)
    restore(clone, "scripts/split_cells.py")
    if said[0] == "x":  # Snakemake checks that the declared log exists
        make(clone, SPLIT)
    assert same(clone, tiny_study, SPLIT)


def flip(path: Path, at: int) -> None:
    """Flip one bit of a file, and keep its date."""
    when = path.stat()
    content = bytearray(path.read_bytes())
    content[at] ^= 4
    path.write_bytes(content)
    os.utime(path, ns=(when.st_atime_ns, when.st_mtime_ns))


def places(path: Path, name: str) -> dict[str, int]:
    """Return where header and payload of a store lie."""
    with h5py.File(path) as file:
        return {"header": 9, "payload": file[name].id.get_offset() + file[name][0].nbytes + 5}


@pytest.mark.parametrize("damage", ["header", "payload", "truncation"])
def test_a_damaged_patch_store_is_refused_by_name(clone, tiny_study, damage):
    store = clone / CUT
    if damage == "truncation":
        os.truncate(store, store.stat().st_size // 2)
    else:
        flip(store, places(store, "patch")[damage])
    said = make(clone, EMBED)
    assert said[0] == "x"
    assert re.search(r"StoreError: \S*results/patches/tiny.h5.*Delete it and rerun", said)
    listed = said[said.index("Jobs failed; what does not need them was made") :]
    assert re.search(r"  embed tiny, paper-fp32, \w+: \S*patches/tiny.h5 .*Delete it", listed)
    assert "Traceback" not in said
    assert not (clone / EMBED).exists()
    make(clone, CUT)
    make(clone, EMBED)
    assert same(clone, tiny_study, CUT)
    assert same(clone, tiny_study, EMBED)


PROBED = (
    "results/predictions/tiny/random/view=paper-fp32/model={}/head=ridge/fraction=1.0/fold=0.csv"
)
PROBED = PROBED.format(accidents.TINY["rows"][0]["model"])
RULES[PROBED] = "probe"


@pytest.mark.parametrize("damage", ["header", "payload"])
def test_a_damaged_embedding_store_is_refused_by_name(clone, tiny_study, damage):
    flip(clone / EMBED, places(clone / EMBED, "embedding")[damage])
    said = make(clone, PROBED)
    assert said[0] == "x"
    assert re.search(r"StoreError: \S*resnet10t\S*.h5.*Delete it and rerun", said)
    assert not (clone / PROBED).exists()


def test_a_bit_that_flips_in_partial_work_is_embedded_again(clone, tiny_study):
    (clone / EMBED).unlink()
    partial = clone / "results" / "partial" / "embed"
    arguments = ["--allowed-rules", "embed", "--", EMBED]
    assert accidents.break_off(clone, arguments, 0.0, ("everything", signal.SIGKILL), partial)
    (store,) = partial.rglob("store.h5")
    flip(store, places(store, "embedding")["payload"])
    accidents.unlock(clone)
    make(clone, EMBED)
    assert same(clone, tiny_study, EMBED)


def start(clone: Path, target: str, *options: str) -> subprocess.Popen:
    (clone / target).unlink(missing_ok=True)
    head, tail = command(target)[:-2], command(target)[-2:]
    return subprocess.Popen(
        [*head, *options, *tail], cwd=clone, encoding="utf-8",
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def test_a_second_run_in_the_same_folder_is_refused_and_disturbs_nothing(clone, tiny_study):
    first = start(clone, EMBED)
    while not any(clone.glob(".snakemake/locks/*")):
        assert first.poll() is None
        time.sleep(0.02)
    first.send_signal(
        signal.SIGSTOP
    )  # however slowly the second starts, the first is still at work
    second = start(clone, EMBED)
    said = second.communicate(timeout=120)[0]
    first.send_signal(signal.SIGCONT)
    assert second.returncode != 0
    assert "Directory cannot be locked" in said
    assert "--unlock" in said
    assert first.wait(120) == 0
    assert same(clone, tiny_study, EMBED)


def test_two_runs_that_really_work_at_once_make_the_same_numbers(clone, tiny_study):
    """With --nolock, which nobody should use, the second waits for the first at the partial work."""
    runs = [start(clone, EMBED, "--nolock") for _ in range(2)]
    said = [run.communicate(timeout=120)[0] for run in runs]
    assert 0 in [run.returncode for run in runs], said
    make(clone, EMBED)
    assert same(clone, tiny_study, EMBED)


def test_two_clones_that_share_their_images_work_at_once(clone, tiny_study, tmp_path):
    other = shutil.copytree(tiny_study, tmp_path / "other", symlinks=True)
    shutil.rmtree(other / "data")
    (other / "data").symlink_to(clone / "data")
    runs = [start(folder, CUT) for folder in (clone, other)]
    assert [run.wait(120) for run in runs] == [0, 0]
    assert same(clone, tiny_study, CUT)
    assert same(other, tiny_study, CUT)


def plan(clone: Path) -> str:
    return accidents.run_to_the_end(clone, "-n", "--", "results/studies/tiny/intervals.csv")


def test_a_clock_that_goes_backwards_changes_no_number(clone, tiny_study):
    """Made an hour before its inputs: these are small, so Snakemake compares their content."""
    past = (clone / CUT).stat().st_mtime - 3600
    for target in (CUT, EMBED):
        os.utime(clone / target, (past, past))
    assert "Nothing to be done" in plan(clone)
    make(clone, PROBED)
    assert accidents.differences(clone, numbers(tiny_study)) == []


def test_a_file_of_the_future_is_made_no_worse_by_its_date(clone, tiny_study):
    future = time.time() + 3600
    os.utime(clone / CUT, (future, future))
    accidents.run_to_the_end(clone)
    assert accidents.differences(clone, numbers(tiny_study)) == []


def test_annotations_replaced_under_an_older_date_need_forcerun(clone):
    """A wrong clock can hide this change from Snakemake; the docs give the way out."""
    path = clone / "data" / "tiny" / "cells.csv"
    lines = path.read_text(encoding="utf-8").splitlines()
    past = path.stat().st_mtime - 3600
    path.write_text("\n".join(lines[:-1]) + "\n", encoding="utf-8")
    os.utime(path, (past, past))
    assert "Nothing to be done" in plan(clone)
    accidents.run_to_the_end(clone, "--forcerun", "read_cells", "--", CUT)
    with h5py.File(clone / CUT) as file:
        assert len(file["id"]) == 47


def test_one_bad_model_and_one_bad_slide_do_not_stop_the_grid_and_are_listed(clone):
    card = (clone / "config/models/resnet10t_random.yaml").read_text(encoding="utf-8")
    lost = "weights: {url: 'http://127.0.0.1:1/w', file: w.pt}"
    card = card.replace("weights: {random: 0}", lost)
    (clone / "config/models/lost.yaml").write_text(card, encoding="utf-8")
    rows = [{"model": model, "head": "ridge"} for model in ("colour_histogram", "lost")]
    study = accidents.TINY | {"rows": rows, "reference": None, "figure2": rows[:1]}
    (clone / "config/config.yaml").write_text(yaml.dump(study), encoding="utf-8")
    dataset = accidents.CARDS["datasets/tiny.yaml"] | {"audit": {"broken": "drop"}}
    (clone / "config/datasets/tiny.yaml").write_text(yaml.dump(dataset), encoding="utf-8")
    (clone / "data/tiny/images/3.tiff").write_bytes(b"<html>")
    (clone / CUT).unlink()
    done = subprocess.run(accidents.SNAKEMAKE, cwd=clone, capture_output=True, encoding="utf-8")
    end = done.stderr[done.stderr.index("Exiting because a job execution failed") :]
    assert re.search(r"embed tiny, paper-fp32, lost: The weights of lost", end, re.I)
    assert "1 images of tiny are left out, as its card says:" in end
    assert "data/tiny/images/3.tiff cannot be read" in end
    audit = (clone / "results/audits/tiny.csv").read_text(encoding="utf-8")
    assert audit.count("broken,") == 6
    made = "results/scores/tiny/random/view=paper-fp32/model=colour_histogram/head=ridge.csv"
    assert (clone / made).exists()
