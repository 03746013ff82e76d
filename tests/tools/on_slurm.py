"""Run a small study through a throw-away Slurm, with injected faults, and compare.

    python tests/tools/on_slurm.py            # with faults: what `make test-slurm` runs
    python tests/tools/on_slurm.py --calm     # without: how long it takes

The study has cells, patches of tissue and slides, a finetuning and trainings: every group of the
profile. Every file of numbers must be that of a local run, byte for byte. The local run takes what
the demo has made in `results/` already.
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from accidents import SNAKEMAKE, checkout, differences, numbers, run_to_the_end, with_demo
from throwaway import Cluster, say, why_not

TRAINED = {"model": "resnet10t_narrow_random", "head": "endtoend_short"}
STUDY = {
    "study": "small",
    "datasets": ["demo_rois"],
    "rows": [{"model": "colour_histogram", "head": "ridge"}, TRAINED],
    "schemes": ["random"],
    "fractions": [1.0],
    "folds": 1,
    "view": {"transform": "paper", "precision": "fp32"},
    "precision_check": {"patches": 64, "min_cosine": 0.99, "auroc": 0.05},
    "statistics": {"draws": 200, "alpha": 0.05, "margin": 0.02},
    "reference": TRAINED,
    "figure2": [TRAINED],
    "colorectal": {
        "rows": ["dinov2_tiny_demo"],
        "patches": {"train": "demo_tissue", "test": "demo_tissue_external", "heads": ["logreg"]},
        "slides": {"cohort": "demo_cohort", "scheme": "patient_folds",
                   "heads": ["transformer_mil_short"]},
    },
    "device": "auto",
}  # fmt: skip
LIMIT = 900  # seconds for one run of snakemake
# jobs of seconds are asked for every second, not every ten
OFTEN = ["--slurm-init-seconds-before-status-checks", "1", "--seconds-between-status-checks", "1"]
# so little that a first attempt exceeds its memory, and the second does not
STARVED = ["--set-resources", "embed:mem_mb=300 * attempt ** 3"]


@dataclass
class Job:
    """One line of squeue."""

    number: str
    state: str
    comment: str
    node: str


def queue() -> list[Job]:
    """Return the jobs that run or wait."""
    lines = say("squeue", "--noheader", "--format=%i|%T|%k|%N").splitlines()
    return [Job(*line.split("|")) for line in lines]


def processes(folder: Path, script: str = "") -> list[int]:
    """Return the processes that work in a folder, or those that run a rule's script there."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            runs = not script or f".{script}.py".encode() in (path / "cmdline").read_bytes()
            if runs and (path / "cwd").readlink() == folder:
                found.append(int(path.name))
    return found


@dataclass
class Run:
    """One call of snakemake, and the outcomes of its jobs."""

    folder: Path
    log: Path
    seconds: float = 0
    faults: list[str] = field(default_factory=list)

    def text(self) -> str:
        return self.log.read_text(encoding="utf-8") if self.log.exists() else ""

    def note(self, what: str) -> None:
        print(f"  {what}", flush=True)
        self.faults.append(what)


def running(rule: str) -> list[Job]:
    """Return the jobs of a rule that run."""
    return [job for job in queue() if rule in job.comment and job.state == "RUNNING"]


def cancel_one(run: Run, cluster: Cluster) -> Iterator[None]:
    """Somebody cancels a running job."""
    while not (victims := running("rule_audit")):
        yield
    say("scancel", victims[0].number)
    run.note(f"scancel {victims[0].number} ({victims[0].comment})")
    while not ended(run, "audit"):
        yield
    run.note(f"Snakemake saw {ended(run, 'audit')} and tries again")


def ended(run: Run, rule: str) -> str:
    """Return the state in which Slurm reports that a job of a rule failed; "" where none did."""
    said = rf"rule {rule}:\n    message: SLURM-job '\d+' failed, SLURM status is: '(.*?)'"
    found = re.search(said, run.text())
    return found[1] if found else ""


def fail_once(run: Run, cluster: Cluster) -> Iterator[None]:
    """The script of a job is killed without a message."""
    while not (victims := processes(run.folder, "train_endtoend")):
        yield
    os.kill(victims[0], signal.SIGKILL)
    run.note("kill -9 of the script of a training")
    while not ended(run, "train_endtoend"):
        yield
    run.note(f"Snakemake saw {ended(run, 'train_endtoend')} and tries again")


def lose_node(run: Run, cluster: Cluster) -> Iterator[None]:
    """A node goes down under a running training, and comes back."""
    while not ended(run, "train_endtoend") or not (victims := running("rule_train")):
        yield
    job = victims[0]
    say("scontrol", "update", f"nodename={job.node}", "state=down", "reason=test")
    run.note(f"{job.node} is down, with job {job.number} on it")
    while "Restarts=1" not in say("scontrol", "show", "job", job.number):
        yield
    run.note(f"Slurm put {job.number} into its queue again")
    cluster.resume(job.node)


def starve(run: Run, cluster: Cluster) -> Iterator[None]:
    """Jobs need more memory than they asked for."""
    while not ended(run, "embed"):
        yield
    run.note(f"embed was over its memory: Slurm says {ended(run, 'embed')}")


Fault = Callable[[Run, Cluster], Iterator[None]]


def snakemake(run: Run, cluster: Cluster, faults: list[Fault], *more: str, until: int = 0) -> int:
    """Run the demo through Slurm; interrupt it once so many per cent are done, where asked."""
    command = [*SNAKEMAKE[:2], "--profile", "slurm", "--jobs", "6", *OFTEN, *more]
    start, log = time.monotonic(), run.log.open("a", encoding="utf-8")
    main = subprocess.Popen(command, cwd=run.folder, stdout=log, stderr=subprocess.STDOUT)
    waiting = [fault(run, cluster) for fault in faults]
    try:
        while main.poll() is None:
            waiting = [fault for fault in waiting if next(fault, "done") is None]
            done = re.findall(r"\((\d+)%\) done", run.text())
            if until and done and int(done[-1]) >= until and not waiting:
                interrupt(main, run)
            if time.monotonic() - start > LIMIT:
                sys.exit(f"not done after {LIMIT} s; see {run.log}")
            time.sleep(0.3)
    finally:
        main.kill()
    run.seconds += time.monotonic() - start
    if waiting:
        sys.exit(f"{len(waiting)} faults did not come; see {run.log}")
    return main.returncode


def small(folder: Path) -> Path:
    """Make the small study the default of a clone, and return the clone."""
    (folder / "config" / "config.yaml").write_text(yaml.dump(STUDY), encoding="utf-8")
    return folder


def run_locally(folder: Path) -> dict[str, str]:
    """Make the study without Slurm, from what the demo has of it; return its files of numbers.

    Nothing else of the demo is there: a row is scored on every draw at hand.
    """
    small(with_demo(folder))
    shutil.rmtree(folder / "results" / "studies", ignore_errors=True)
    for name in run_to_the_end(folder, "--list-untracked").splitlines():
        if name.startswith("results/"):
            (folder / name).unlink(missing_ok=True)
    run_to_the_end(folder)
    return numbers(folder)


def interrupt(main: subprocess.Popen, run: Run) -> None:
    """Stop the run at once, as a person does: Ctrl-C twice."""
    busy = len(queue())
    for _ in range(2):
        main.send_signal(signal.SIGINT)
        time.sleep(1)
    main.wait(timeout=120)
    end = time.monotonic() + 60
    while queue() and time.monotonic() < end:
        time.sleep(1)
    run.note(f"Ctrl-C with {busy} jobs in the queue; a minute later it holds {len(queue())}")
    if queue():
        sys.exit("The jobs of an interrupted run were not cancelled.")


def counts(run: Run) -> str:
    """Print how many jobs were submitted to Slurm, and how often one was retried."""
    text = run.text()
    submitted = len(re.findall("has been submitted with SLURM jobid", text))
    again = len(re.findall("Trying to restart job", text))
    finished = len(re.findall("^Finished jobid", text, re.M))
    return f"{submitted} Slurm jobs, {again} retries, {finished} jobs finished"


def main() -> None:
    """Start a cluster, run, compare, print the outcome."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calm", action="store_true", help="break nothing")
    calm = parser.parse_args().calm
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # a shell makes its background processes ignore it
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    if why_not():
        sys.exit(f"No throw-away Slurm here: {why_not()}.")
    place = Path(tempfile.mkdtemp())
    reference = run_locally(place / "local")
    run = Run(small(checkout(place / "clone")), place / "log")
    cluster = Cluster(place / "slurm")
    try:
        cluster.start()
        if not calm:
            begin = [*STARVED, "--omit-from", "train_endtoend"]  # the second run has to break it
            snakemake(run, cluster, [starve, cancel_one], *begin, until=35)
        code = snakemake(run, cluster, [] if calm else [fail_once, lose_node])
    finally:
        cluster.stop()
        # without cgroups Slurm loses track of processes on a node that went down
        for process in processes(run.folder):
            os.kill(process, signal.SIGKILL)
    odd = differences(run.folder, reference)
    print(
        f"{counts(run)} in {run.seconds:.0f} s; {len(reference)} files compared, {len(odd)} differ"
    )
    if code or odd:
        sys.exit(f"exit {code}; what there is lies in {place}; differing: {odd}")
    shutil.rmtree(place)


if __name__ == "__main__":
    main()
