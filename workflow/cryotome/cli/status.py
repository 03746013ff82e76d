"""Progress of a study, from the files on disk: `python -m cryotome.cli.status demo`.

No job is started and no run is disturbed. Jobs to do are those that `snakemake -n` plans; running
jobs have a locked file in the ledger; failed jobs have a record beside their log.
"""

import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryotome.cli.plan import planned_jobs, with_all_slides
from cryotome.runtime.failures import KEPT, Failure, describe_failures, failures, group_failures
from cryotome.runtime.interpreter import run_program
from cryotome.runtime.ledger import ENDING, KILLED, OK, attempts, is_alive
from cryotome.runtime.watchdog import patience
from cryotome.study.costs.gflop import Job
from cryotome.study.costs.prices import CostModel, threads_of
from cryotome.study.gather_facts import describe
from cryotome.study.load import CONFIG, config_file, load_study
from cryotome.study.site import RESULTS, uses_gpu
from cryotome.study.study import Study

DONE, RUNNING, FAILED, TO_DO = "done", "running", "failed", "to do"
STATES = (DONE, RUNNING, FAILED, TO_DO)
COLOURS = {DONE: 32, RUNNING: 33, FAILED: 31}
RATE_WINDOW = 600.0  # s over which ended jobs are counted
MAX_LINES = 8  # of a failed job's log
MAX_LOGS = 3  # kinds of failures whose log is shown
COPIES = {"copy_to_results", "publish_html"}  # rules that copy what is complete
LOCKS = Path(".snakemake/locks")
Key = tuple[str, ...]


def job_key(rule: str, wildcards: dict[str, str]) -> Key:
    """Return the key of one job: its rule and wildcards."""
    return (rule, *(f"{name}={value}" for name, value in sorted(wildcards.items())))


@dataclass(frozen=True)
class JobHistory:
    """The attempts of one job, from the ledger and the logs."""

    attempts: list[dict[str, Any]] = field(default_factory=list)
    alive: bool | None = False  # whether the last one runs; None: unknown on this machine
    silent: float = 0.0  # s since the last line of its log
    failure: Failure | None = None

    def state(self, *, planned: bool, since: datetime) -> str:
        """Return the state of the job.

        Parameters
        ----------
        planned
            Whether Snakemake planned it.
        since
            When Snakemake was asked.
        """
        last = self.attempts[-1] if self.attempts else {}
        if self.alive or (self.alive is None and self.silent < patience()):
            return RUNNING
        ended_since = last.get("ended") == OK and datetime.fromisoformat(last["stopped"]) > since
        if not planned or ended_since:
            return DONE
        return FAILED if self.failure or last.get("ended") == KILLED else TO_DO

    def why(self) -> str:
        """Return why it failed."""
        if self.attempts and self.attempts[-1]["ended"] == KILLED:
            if self.alive is None:
                return (
                    f"It ran on another machine, and its log has been silent for "
                    f"{_time(self.silent)}: it was probably killed."
                )
            return "It was killed: out of memory, over its time limit, by hand, or by a power cut."
        return self.failure.why if self.failure else ""


def read_history(results: Path) -> dict[Key, JobHistory]:
    """Read the ledger and the records of failures, by job."""
    failed = {job_key(f.rule, f.wildcards): f for f in failures(results / "logs")}
    found = {key: JobHistory(failure=failure) for key, failure in failed.items()}
    for path in sorted(results.glob(f"ledger/*/*{ENDING}")):
        made = attempts(path)
        if made and "rule" in made[-1]:
            key = job_key(made[-1]["rule"], made[-1]["wildcards"])
            alive = is_alive(path, made[-1]) if made[-1]["ended"] == KILLED else False
            log = results / "logs" / path.parent.name / f"{path.stem}.log"
            silent = time.time() - log.stat().st_mtime if log.exists() else float("inf")
            found[key] = JobHistory(made, alive, silent, failed.get(key))
    return found


@dataclass(frozen=True)
class Progress:
    """The state and the history of every job of a study."""

    states: dict[Key, str]
    jobs: dict[Key, Job]
    histories: dict[Key, JobHistory]
    now: datetime

    @property
    def counts(self) -> dict[str, Counter]:
        """Number of jobs in each state, by rule."""
        counts: dict[str, Counter] = {}
        for key, state in self.states.items():
            counts.setdefault(key[0], Counter())[state] += 1
        return counts

    def of(self, state: str) -> list[Key]:
        """Return the jobs in a state."""
        return [key for key, one in self.states.items() if one == state]

    def _successes(self, key: Key) -> list[dict[str, Any]]:
        known = self.histories.get(key, JobHistory())
        return [one for one in known.attempts if one["ended"] == OK]

    def mean_seconds(self) -> dict[str, float]:
        """Return the mean wall time of the study's successful jobs by rule, s."""
        took: dict[str, list[float]] = {}
        for key in self.states:
            took.setdefault(key[0], []).extend(one["wall_s"] for one in self._successes(key))
        return {rule: sum(walls) / len(walls) for rule, walls in took.items() if walls}

    def rate(self) -> tuple[int, float]:
        """Return the number of recently successful jobs, and the seconds of that window."""
        ended = [one for key in self.states for one in self._successes(key)]
        recent = [one for one in ended if self.since(one["stopped"]) < RATE_WINDOW]
        begun = max((self.since(one["started"]) for one in recent), default=RATE_WINDOW)
        return len(recent), min(RATE_WINDOW, begun)

    def since(self, stamp: str) -> float:
        """Return the seconds since a time stamp of the ledger."""
        return (self.now - datetime.fromisoformat(stamp)).total_seconds()

    def seconds_left(self, prices: CostModel) -> tuple[float, int]:
        """Project the wall time of all unfinished jobs, one at a time.

        Returns
        -------
        seconds
        assumed
            Number of jobs projected as by `make plan`, for no job of their rule has ended yet.
        """
        mean, seconds, assumed = self.mean_seconds(), 0.0, 0
        for key, state in self.states.items():
            if state == DONE:
                continue
            cost = None if key[0] in mean else prices.cost(self.jobs[key])
            assumed += cost is not None and key[0] != "copy_to_results"
            wall = mean.get(key[0], 0.0)
            if cost:
                wall = cost.gpu or cost.cores / threads_of(prices.study, self.jobs[key])
            if state == RUNNING:
                wall = max(0.0, wall - self.since(self.histories[key].attempts[-1]["started"]))
            seconds += wall
        return seconds, assumed


def measure_progress(
    every: list[Job], planned: list[Job], histories: dict[Key, JobHistory], since: datetime
) -> Progress:
    """Return the state of each job.

    Parameters
    ----------
    every, planned
        All jobs of a study, and those that Snakemake plans now.
    since
        When Snakemake was asked for them.
    """
    jobs = {job_key(job.rule, job.wildcards): job for job in every}
    due = {job_key(job.rule, job.wildcards) for job in planned}
    states = {
        key: histories.get(key, JobHistory()).state(planned=key in due, since=since) for key in jobs
    }
    return Progress(states, jobs, histories, datetime.now(UTC))


def _time(seconds: float) -> str:
    for unit, length in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"


def _coloured(text: str, state: str) -> str:
    """Return a text in the colour of a state if the terminal shows colours."""
    if state in COLOURS and sys.stdout.isatty() and not os.environ.get("NO_COLOR"):
        return f"\033[{COLOURS[state]}m{text}\033[0m"
    return text


def _table(progress: Progress) -> Iterator[str]:
    mean = progress.mean_seconds()
    yield f"{'rule':<18}" + "".join(f"{state:>9}" for state in STATES) + f"{'each':>10}"
    counts = progress.counts
    for rule, count in [*counts.items(), ("total", sum(counts.values(), Counter()))]:
        cells = (_coloured(f"{count[s] or '-':>9}", s if count[s] else "") for s in STATES)
        each = _time(mean[rule]) if rule in mean else "-"
        yield f"{rule:<18}{''.join(cells)}{each if rule != 'total' else '':>10}"


def _pace(progress: Progress, prices: CostModel) -> Iterator[str]:
    """Yield the rate of jobs and the projected time."""
    count, span = progress.rate()
    if count:
        yield f"{count} jobs ended in the last {_time(span)}: {60 * count / span:.1f} a minute."
    seconds, assumed = progress.seconds_left(prices)
    at_once = len(progress.of(RUNNING))
    pace = f"{at_once} at a time, as now" if at_once > 1 else "one at a time"
    rest = f"; {assumed} jobs of rules without a record as `make plan` projects" if assumed else ""
    yield (
        f"Left: about {_time(seconds / max(1, at_once))}, an estimate: jobs not done times the "
        f"mean of their rule, {pace}{rest}."
    )


def _named(job: Job) -> str:
    return f"{job.rule} {', '.join(job.wildcards.values())}".rstrip()


def _running(progress: Progress) -> Iterator[str]:
    for key in progress.of(RUNNING):
        history, name = progress.histories[key], _named(progress.jobs[key])
        took = _time(progress.since(history.attempts[-1]["started"]))
        silent = f"; on another machine, log written {_time(history.silent)} ago"
        yield f"  {name}: for {took}{'' if history.alive else silent}"


def _failed(progress: Progress) -> Iterator[str]:
    """Yield a line for each kind of failure, and the end of the log of the first few."""
    failed = []
    for key in progress.of(FAILED):
        history, job = progress.histories[key], progress.jobs[key]
        log = history.failure.log if history.failure else ""
        failed.append(Failure(job.rule, dict(job.wildcards), history.why(), log))
    for number, alike in enumerate(group_failures(failed)):
        yield _coloured(f"  {describe_failures(alike)}", FAILED)
        if number < MAX_LOGS and alike[0].log:
            yield from (f"    | {line}" for line in log_tail(Path(alike[0].log)))


def log_tail(log: Path) -> list[str]:
    """Return the last lines of a log, or of its copy where Snakemake has removed it."""
    for path in (log, log.with_suffix(KEPT)):
        if path.exists():
            lines = path.read_text(errors="replace", encoding="utf-8").splitlines()
            return [line.rstrip() for line in lines if line.strip()][-MAX_LINES:]
    return []


def report(study: Study, progress: Progress, prices: CostModel, *, locked: bool) -> str:
    """Return the progress as text."""
    lines = [f"Study {study.name!r}: {describe(study)}.", "", *_table(progress), ""]
    left = {rule for rule, *_ in progress.states.keys() - set(progress.of(DONE))}
    if left <= COPIES:
        copies = " Copies of them in `results/` are of another study, or missing; a run makes them."
        return "\n".join([*lines, "All results exist." + copies * bool(left)])
    lines += _pace(progress, prices)
    for title, part in (("Running", _running(progress)), ("Failed", _failed(progress))):
        found = list(part)
        lines += ["", f"{title}:", *found] if found else []
    if locked and not progress.of(RUNNING):
        lines += ["", "A Snakemake holds the lock of this folder, and none of its jobs runs: it is "
                      "between two jobs, or was killed (then `snakemake --unlock`)."]  # fmt: skip
    return "\n".join(lines)


def main(name: str, folder: Path = CONFIG) -> None:
    """Print the progress of the study in `config/{name}.yaml`; `demo` is the default."""
    study, site = load_study(name, folder)
    on_gpu = uses_gpu(study, site)
    device = ["device=per_job"] if on_gpu else []
    print("Asking Snakemake which results exist …", file=sys.stderr, flush=True)
    since = datetime.now(UTC)
    with ThreadPoolExecutor(2) as pool:
        every, planned = pool.map(
            lambda flags: with_all_slides(
                study, planned_jobs(config_file(name, folder), *device, flags=flags)
            ),
            [("--forceall",), ()],
        )
    progress = measure_progress(every, planned, read_history(RESULTS), since)
    print(report(study, progress, CostModel(study, on_gpu), locked=any(LOCKS.glob("*"))))


if __name__ == "__main__":
    run_program(lambda: main(sys.argv[1]))
