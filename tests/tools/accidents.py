"""Kill the workflow at random instants, resume, and compare with an undisturbed run.

    python tests/tools/accidents.py jobs --kills 200 --seed 1    # over single jobs on 48 patches
    python tests/tools/accidents.py dag --kills 12 --seed 1      # over the whole demo

Both work in a copy of the repository, in a temporary folder, so that several may run at once.
The unbroken run of the demo is `results/` of the repository where the demo has been made, else
one is made first. `tests/workflow/test_accidents.py` runs a few kills with a fixed seed. A kill that came
when nothing ran any more does not count.
"""

import argparse
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np
import tifffile
import warm_snakemake
import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "workflow"))

from cryotome.core.cards import read_yaml
from cryotome.data.demo.mitoses import SLIDE_DOMAIN, draw_tissue
from cryotome.study.checks import checked_study
from cryotome.study.products import RULES

SNAKEMAKE = [str(Path(sys.executable).parent / "snakemake"), "--nocolor", "--cores", "2"]
PARTS = ["Snakefile", "config", "workflow", "profiles", "local", "slurm", "envs"]
NUMBERS = ["cells", "patches", "audits", "splits", "embeddings", "predictions", "curves", "scores"]
NUMBERS += ["models", "studies"]
COSTS = {name for name, rule in RULES.items() if rule == "summarise_costs"}
PAGES = ["index.html", "index_partial.html"]  # they hold the time and the costs of the run
IMAGES, CELLS = 8, 6  # of the tiny dataset; cells an image
TINY = {
    "study": "tiny",
    "datasets": ["tiny"],
    "rows": [
        {"model": "resnet10t_narrow_random", "head": "ridge"},
        {"model": "resnet10t_narrow_random", "head": "endtoend_tiny"},
    ],
    "schemes": ["random"],
    "fractions": [1.0],
    "folds": 1,
    "view": {"transform": "paper", "precision": "fp32"},
    "precision_check": {"patches": 48, "min_cosine": 0.99, "auroc": 0.05},
    "statistics": {"draws": 200, "alpha": 0.05, "margin": 0.02},
    "reference": {"model": "resnet10t_narrow_random", "head": "endtoend_tiny"},
    "figure2": [{"model": "resnet10t_narrow_random", "head": "endtoend_tiny"}],
    "device": "cpu",
}
CARDS = {
    "datasets/tiny.yaml": {
        "title": "Tiny",
        "source": "drawn by tests/tools/accidents.py",
        "reader": "table",
        "annotations": "tiny/cells.csv",
        "images": "tiny/images",
        "classes": [{"name": "no", "id": "no"}, {"name": "yes", "id": "yes"}],
        "domains": {"lab": {"title": "lab", "where": {}}},
        "patch": {"side": 32, "resolution": "native", "border": "reflect"},
    },
    "heads/endtoend_tiny.yaml": {
        "extends": "endtoend_short",
        "title": "tiny",
        "source": "as endtoend_short, fewer steps",
        "steps": 20,
        "evaluate_every": 2,
    },
}
TARGETS = {  # a rule and what its jobs make
    "cut_patches": "results/patches/*.h5",
    "embed": "results/embeddings/*/*/*.h5",
    "split_cells": "results/splits/*/*/*/fold=0.csv",
    "probe": "results/predictions/*/*/view=paper-fp32/*/*/*/fold=0.csv",
    "train_endtoend": "results/predictions/*/*/view=patches/*/head=endtoend_tiny/*/fold=*.csv",
}
WORK = {"cut_patches": 0.1, "embed": 0.5, "train_endtoend": 1.5}  # s of work after the imports
KILL, STOP = signal.SIGKILL, signal.SIGTERM
# out of memory, power cut, kill -9, preemption by a scheduler, by hand
VICTIMS = [("job", KILL), ("everything", KILL), ("snakemake", KILL)] * 2
VICTIMS += [("job", STOP), ("everything", STOP), ("snakemake", STOP)]
LONGEST = 6.0  # s from the start of a single job's Snakemake to its end, until one is seen to end
PATIENCE = 60  # s for a Snakemake to end after SIGTERM


def checkout(folder: Path) -> Path:
    """Copy what a clone holds, symlinks as symlinks."""
    folder.mkdir(parents=True, exist_ok=True)
    ignored = shutil.ignore_patterns("__pycache__", "site.yaml")
    for name in PARTS:
        source = ROOT / name
        if source.is_dir() and not source.is_symlink():
            shutil.copytree(source, folder / name, symlinks=True, ignore=ignored)
        else:
            shutil.copy(source, folder / name, follow_symlinks=False)
    return folder


def tiny(folder: Path) -> Path:
    """Give a clone with a study of its own: one dataset of 48 patches, every kind of long job."""
    checkout(folder)
    for name, card in CARDS.items():
        (folder / "config" / name).write_text(yaml.dump(card), encoding="utf-8")
    (folder / "config" / "config.yaml").write_text(
        yaml.dump(TINY), encoding="utf-8"
    )  # the default study here
    (folder / "data" / "tiny" / "images").mkdir(parents=True)
    lines = ["x,y,label,filename"]
    for image in range(IMAGES):
        pixels, centres, labels = draw_tissue(np.random.default_rng(image), SLIDE_DOMAIN, 200)
        tifffile.imwrite(folder / f"data/tiny/images/{image}.tiff", pixels, photometric="rgb")
        for (x, y), label in list(zip(centres, labels, strict=True))[:CELLS]:
            lines.append(f"{x},{y},{'yes' if label else 'no'},{image}.tiff")
    (folder / "data" / "tiny" / "cells.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def unlock(folder: Path) -> None:
    """Take away the lock that a Snakemake leaves when it is killed."""
    if any(folder.glob(".snakemake/locks/*")):
        warm_snakemake.call(folder, *SNAKEMAKE[1:], "--unlock", environment=os.environ)


def run_to_the_end(folder: Path, *arguments: str) -> str:
    """Run snakemake, after an unlock such as a killed run needs, and return its output."""
    unlock(folder)
    code, said = warm_snakemake.call(folder, *SNAKEMAKE[1:], *arguments, environment=os.environ)
    if code:
        sys.exit(f"{folder}: the run after a kill failed.\n{said}")
    return said


def descendants(pid: int) -> list[int]:
    """Return a process and all below it, from /proc."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(
                stat.read_text(encoding="utf-8").rsplit(")", 1)[1].split()[1]
            )
        except OSError:  # it has ended meanwhile
            continue
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def scripts(pids: list[int]) -> list[int]:
    """Return those of the processes that run a rule's script."""

    def command(pid: int) -> bytes:
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return b""

    return [pid for pid in pids if b".snakemake/scripts/" in command(pid).split(b"\0-c")[0]]


def strike(main: subprocess.Popen, victim: str, blow: signal.Signals) -> bool:
    """Send a signal to one victim without warning; whether there was one."""
    tree, runs = descendants(main.pid), main.poll() is None
    pids = {"job": scripts(tree), "snakemake": [main.pid], "everything": tree}[victim]
    for pid in pids:
        try:
            os.kill(pid, blow)
        except ProcessLookupError:
            continue
    return bool(pids) and runs


@dataclass
class Tally:
    """Outcomes of the kills."""

    kills: Counter = field(default_factory=Counter)  # by rule, or the whole study
    blows: Counter = field(default_factory=Counter)  # by signal and victim
    late: int = 0
    resumed: int = 0
    compared: int = 0
    differing: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.kills.total()} kills ({counted(self.kills)}; {counted(self.blows)}), "
            f"{self.late} more came too late; partial work resumed {self.resumed} times; "
            f"{self.compared} files compared, {len(self.differing)} differ"
        )


def counted(counter: Counter) -> str:
    """Return how often each occurred, the most frequent first."""
    return ", ".join(f"{name} {count}" for name, count in counter.most_common())


def break_off(
    folder: Path,
    arguments: list[str],
    instant: float,
    blow: tuple[str, signal.Signals],
    watch: Path | None = None,
) -> bool:
    """Start snakemake and strike after some seconds, or so long after partial work appears.

    Returns
    -------
    whether there still was something to strike
    """
    log = (folder / "broken.log").open("w", encoding="utf-8")
    main = subprocess.Popen(
        [*SNAKEMAKE, *arguments], cwd=folder, stdout=log, stderr=log, start_new_session=True
    )
    start, struck = time.monotonic(), False
    while main.poll() is None and not struck:
        if watch and [*watch.rglob("journal"), *watch.rglob("checkpoint.pt")]:
            watch, start = None, time.monotonic()
        ripe = watch is None and time.monotonic() - start >= instant
        struck = ripe and strike(main, *blow)
        time.sleep(0.005)
    try:
        main.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        print("      the Snakemake hangs after SIGTERM: SIGKILL", flush=True)
        strike(main, "everything", KILL)
        main.wait()
    return struck


def content(path: Path) -> str:
    """Return a hash of the numbers in a file: data and passport of a store, bytes of the rest."""
    digest = hashlib.sha256()
    if path.suffix == ".h5":
        with h5py.File(path) as file:
            for name in sorted(file):
                digest.update(name.encode() + file[name][:].tobytes())
            digest.update(repr(sorted(file.attrs.items())).encode())
    else:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def numbers(folder: Path) -> dict[str, str]:
    """Hash every file of results that holds numbers; a prediction's .json holds its cost, too."""
    return {
        str(path.relative_to(folder)): content(path)
        for part in NUMBERS
        for path in sorted((folder / "results" / part).rglob("*"))
        if path.is_file()
        and not (part == "predictions" and path.suffix == ".json")
        and not path.name.endswith("_partial.csv")  # a failed run leaves it for its user
        and path.name not in [*COSTS, *PAGES]  # nor does it take the same time again
        and not path.match("colorectal/figure1.*")  # which shows the time
    }


def differences(folder: Path, reference: dict[str, str]) -> list[str]:
    """Name the files that differ from those of the undisturbed run, or are missing, or should not be."""
    mine = numbers(folder)
    odd = [name for name in sorted({*mine, *reference}) if mine.get(name) != reference.get(name)]
    return odd + [str(p) for p in (folder / "results").rglob("*.part")]


def with_demo(folder: Path) -> Path:
    """Copy what a clone holds, and what the demo has made where it has been run."""
    checkout(folder)
    if (ROOT / "results" / "studies" / "demo" / "table2.csv").exists():
        for name in ("results", ".snakemake"):
            ignored = shutil.ignore_patterns("locks", "log", "scripts")
            shutil.copytree(ROOT / name, folder / name, dirs_exist_ok=True, ignore=ignored)
    return folder


def unbroken(folder: Path) -> Path:
    """Return a copy of the repository with the finished demo, and no other study."""
    with_demo(folder)
    study = checked_study(read_yaml(ROOT / "config" / "config.yaml"), ROOT / "config")
    demo = {"demo", *study.all_datasets}
    for path in (path for part in NUMBERS for path in (folder / "results" / part).glob("*")):
        if path.name.split(".")[0] not in demo:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    run_to_the_end(folder)
    return folder


def over_jobs(folder: Path, kills: int, rng: random.Random) -> Tally:
    """Make single jobs again and kill each once; compare what they make."""
    reference, tally, longest = numbers(folder), Tally(), dict.fromkeys(TARGETS, LONGEST)
    while tally.kills.total() < kills:
        rule, blow = rng.choice(list(TARGETS)), rng.choice(VICTIMS)
        target = rng.choice(sorted(folder.glob(TARGETS[rule]))).relative_to(folder)
        (folder / target).unlink()
        partial = folder / "results" / "partial" / rule
        at_work = rule in WORK and rng.random() < 0.6
        instant = rng.uniform(0, WORK[rule] if at_work else longest[rule])
        if at_work and rng.random() < 0.5:
            instant = 0.0  # as soon as there is partial work, however fast the machine
        arguments = ["--allowed-rules", rule, "--", str(target)]
        start = time.monotonic()
        struck = break_off(folder, arguments, instant, blow, partial if at_work else None)
        if not struck:  # its duration
            longest[rule] = min(longest[rule], time.monotonic() - start)
        resumed_now = "esuming after" in run_to_the_end(folder, *arguments)
        name = f"{blow[1].name} {blow[0]}"
        tally.late += not struck
        tally.kills[rule] += struck
        tally.blows[name] += struck
        tally.resumed += resumed_now
        tally.compared += 1
        differ = content(folder / target) != reference[str(target)]
        tally.differing += [str(target)] * differ
        print(
            f"{tally.kills.total():3d} {rule:15s} {name if struck else 'too late':18s} "
            f"after {instant:5.2f} s{' of work' if at_work else ''}"
            f"{', resumed' if resumed_now else ''}{', DIFFERS' if differ else ''}  {target}",
            flush=True,
        )
    tally.compared += len(reference)
    tally.differing += differences(folder, reference)
    return tally


def over_dag(
    make: Callable[[Path], Path], reference: Path, kills: int, longest: float, rng: random.Random
) -> Tally:
    """Make a whole study in an empty folder, killed again and again, and compare everything.

    A study that ends in spite of it is compared, and the next one begun.
    """
    tally, due, folder = Tally(), numbers(reference), reference.with_name("broken")
    while tally.kills.total() < kills:
        if not folder.exists():
            make(folder)
        instant, blow = rng.uniform(3, longest), rng.choice(VICTIMS)
        struck = break_off(folder, [], instant, blow)
        unlock(folder)
        name = f"{blow[1].name} {blow[0]}"
        tally.late += not struck
        tally.kills["whole study"] += struck
        tally.blows[name] += struck
        tally.resumed += (folder / "broken.log").read_text(encoding="utf-8").count("esuming after")
        print(
            f"{tally.kills.total():3d} {name if struck else 'too late':18s} after {instant:5.1f} s"
            f", {len(numbers(folder))} of {len(due)} files made",
            flush=True,
        )
        if not struck or tally.kills.total() == kills:
            tally.resumed += run_to_the_end(folder).count("esuming after")
            tally.compared += len(due)
            tally.differing += differences(folder, due)
            shutil.rmtree(folder)
    return tally


def main() -> None:
    """Read the command line, kill, compare, print the outcome."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("over", choices=["jobs", "dag"])
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    rng = random.Random(asked.seed)
    with tempfile.TemporaryDirectory() as place:
        whole = Path(place) / "unbroken"
        if asked.over == "jobs":
            run_to_the_end(tiny(whole))
            reference = numbers(whole)
            tally = over_jobs(whole, asked.kills, rng)
            run_to_the_end(whole)  # everything downstream of what was made again
            tally.compared += len(reference)
            tally.differing += differences(whole, reference)
        else:
            tally = over_dag(checkout, unbroken(whole), asked.kills, 100, rng)
    print(tally)
    sys.exit(f"Differing: {tally.differing}" if tally.differing else 0)


if __name__ == "__main__":
    main()
