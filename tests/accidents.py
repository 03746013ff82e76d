"""Kill the workflow at random instants, go on, and compare with a run that nobody disturbed.

    python tests/accidents.py jobs --kills 30 --seed 1     # over single jobs of the demo
    python tests/accidents.py dag --kills 3 --seed 1       # over the whole demo

Both work in a copy of the repository, in a temporary folder. The unbroken run is `results/` of
the repository where the demo has been made, else one is made first. `tests/test_accidents.py`
runs a few kills with a fixed seed.
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
from dataclasses import dataclass, field
from pathlib import Path

import h5py

ROOT = Path(__file__).resolve().parent.parent
SNAKEMAKE = [str(Path(sys.executable).parent / "snakemake"), "--nocolor", "--cores", "2"]
PARTS = ["Snakefile", "config", "workflow", "profiles", "local", "slurm", "envs"]
NUMBERS = ["cells", "patches", "audits", "splits", "embeddings", "predictions", "curves", "scores"]
NUMBERS += ["studies"]
EVERY = "results/predictions/demo_rois/*/view="
TARGETS = {  # a rule and what its jobs make; long jobs come more often
    "cut_patches": ["results/patches/*.h5"] * 2,
    "embed": ["results/embeddings/*/*/*_random.h5"] * 4,
    "train_endtoend": [f"{EVERY}patches/model=*/head=e2e_short/*/fold=*.csv"] * 5,
    "probe": [f"{EVERY}paper-fp32/model=*/head=ridge/*/fold=*.csv"],
    "audit": ["results/audits/*.csv"],
    "split": ["results/splits/*/random/*/fold=0.csv"],
    "score": ["results/scores/*/*/*/*/head=ridge.csv"],
    "intervals": ["results/studies/demo/intervals.csv"],
    "table2": ["results/studies/demo/table2.csv"],
}
WORK = {"cut_patches": 0.2, "embed": 1.0, "train_endtoend": 4.0}  # s of work after the imports
VICTIMS = ["job", "job", "everything", "everything", "snakemake"]  # OOM kill, power cut, kill -9


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


def run_to_the_end(folder: Path, *arguments: str) -> str:
    """Run snakemake, after an unlock such as a killed run needs, and return what it said."""
    subprocess.run([*SNAKEMAKE, "--unlock"], cwd=folder, capture_output=True, check=False)
    done = subprocess.run([*SNAKEMAKE, *arguments], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{folder}: the run after a kill failed.\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def descendants(pid: int) -> list[int]:
    """Return a process and all below it, from /proc."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rsplit(")", 1)[1].split()[1])
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


def kill(main: subprocess.Popen, victim: str) -> bool:
    """Kill one victim without warning; whether there was one."""
    tree, runs = descendants(main.pid), main.poll() is None
    pids = {"job": scripts(tree), "snakemake": [main.pid], "everything": tree}[victim]
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    return bool(pids) and runs


@dataclass
class Tally:
    """What became of the kills."""

    kills: int = 0
    gone_on: int = 0
    late: int = 0
    differing: list[str] = field(default_factory=list)


def break_off(folder: Path, arguments: list[str], instant: float, victim: str, watch: Path) -> str:
    """Start snakemake and kill after some seconds, or so long after partial work appears."""
    log = (folder / "broken.log").open("w")
    main = subprocess.Popen(
        [*SNAKEMAKE, *arguments], cwd=folder, stdout=log, stderr=log, start_new_session=True
    )
    start = time.monotonic()
    while main.poll() is None and time.monotonic() - start < 600:
        if watch != folder and [*watch.rglob("journal"), *watch.rglob("checkpoint.pt")]:
            watch, start = folder, time.monotonic()
        if watch == folder and time.monotonic() - start >= instant and kill(main, victim):
            main.wait()
            return victim
        time.sleep(0.02)
    main.wait()
    return "came too late"


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
        and path.name != "table2_partial.csv"  # what a broken run leaves for its user
    }


def differences(folder: Path, reference: dict[str, str]) -> list[str]:
    """Name the files that differ from the unbroken run's, or are missing, or should not be."""
    mine = numbers(folder)
    odd = [name for name in sorted({*mine, *reference}) if mine.get(name) != reference.get(name)]
    return odd + [str(p) for p in (folder / "results").rglob("*.part")]


def unbroken(folder: Path) -> Path:
    """Give a copy of the repository in which the demo has been made."""
    checkout(folder)
    if (ROOT / "results" / "studies" / "demo" / "table2.csv").exists():
        for name in ("results", ".snakemake"):
            ignored = shutil.ignore_patterns("locks", "log", "scripts")
            shutil.copytree(ROOT / name, folder / name, dirs_exist_ok=True, ignore=ignored)
    run_to_the_end(folder)
    return folder


def over_jobs(folder: Path, kills: int, rng: random.Random) -> Tally:
    """Make single jobs again and kill each once; compare what they make."""
    reference, tally = numbers(folder), Tally()
    rules = [rule for rule, patterns in TARGETS.items() for _ in patterns]
    for _ in range(kills):
        rule, victim = rng.choice(rules), rng.choice(VICTIMS)
        target = rng.choice(sorted(folder.glob(TARGETS[rule][0]))).relative_to(folder)
        (folder / target).unlink()
        partial = folder / "results" / "partial" / rule
        at_work = rule in WORK and rng.random() < 0.7
        instant = rng.uniform(0, WORK[rule] if at_work else 10)
        arguments = ["--allowed-rules", rule, "--", str(target)]
        killed = break_off(folder, arguments, instant, victim, partial if at_work else folder)
        said = run_to_the_end(folder, *arguments)
        going_on = "oing on after" in said
        tally.kills += 1
        tally.gone_on += going_on
        tally.late += killed == "came too late"
        differ = content(folder / target) != reference[str(target)]
        tally.differing += [str(target)] * differ
        print(
            f"{tally.kills:3d} {rule:15s} {killed:14s} after {instant:5.2f} s"
            f"{' of work' if at_work else ''}{', gone on with' if going_on else ''}"
            f"{', DIFFERS' if differ else ''}  {target}",
            flush=True,
        )
    return tally


def over_dag(folder: Path, reference: dict[str, str], kills: int, rng: random.Random) -> Tally:
    """Make a whole study in an empty folder, killed again and again, and compare everything."""
    checkout(folder)
    tally = Tally()
    for _ in range(kills):
        instant, victim = rng.uniform(10, 100), rng.choice(VICTIMS)
        killed = break_off(folder, [], instant, victim, folder)
        subprocess.run([*SNAKEMAKE, "--unlock"], cwd=folder, capture_output=True, check=False)
        made = len(numbers(folder))
        tally.kills += 1
        tally.late += killed == "came too late"
        print(
            f"{tally.kills:3d} {killed:14s} after {instant:5.1f} s, {made} files made", flush=True
        )
    tally.gone_on = run_to_the_end(folder).count("oing on after")
    tally.differing = differences(folder, reference)
    return tally


def main() -> None:
    """Read the command line, kill, compare, say how it went."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("over", choices=["jobs", "dag"])
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    rng = random.Random(asked.seed)
    with tempfile.TemporaryDirectory() as place:
        whole = unbroken(Path(place) / "unbroken")
        reference = numbers(whole)
        if asked.over == "jobs":
            tally = over_jobs(whole, asked.kills, rng)
            run_to_the_end(whole)
            tally.differing += differences(whole, reference)
        else:
            tally = over_dag(Path(place) / "broken", reference, asked.kills, rng)
    print(
        f"{tally.kills} kills, {tally.late} too late, partial work gone on with {tally.gone_on} "
        f"times; {len(reference)} files compared, {len(tally.differing)} differ"
    )
    sys.exit(f"Differing: {tally.differing}" if tally.differing else 0)


if __name__ == "__main__":
    main()
