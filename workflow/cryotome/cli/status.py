"""Say how far a study is, from what lies on disk: `python -m cryotome.cli.status demo`.

Nothing is started and no run is disturbed. What there is to do is what `snakemake -n` plans; what
runs has a locked file in the ledger; what failed has a record beside its log.
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

from cryotome.cli.plan import planned_jobs, uses_gpu
from cryotome.core.cards import read_yaml
from cryotome.core.errors import CryotomeError
from cryotome.runtime.failures import KEPT, Failure, by_kind, described, failures
from cryotome.runtime.interpreter import restart_in_utf8
from cryotome.runtime.ledger import ENDING, KILLED, OK, attempts, is_alive
from cryotome.runtime.watchdog import patience
from cryotome.study.checks import checked_study
from cryotome.study.costs.prices import THREADS, CostModel, Job
from cryotome.study.facts import describe
from cryotome.study.site import RESULTS, resolve_site
from cryotome.study.study import Study

DONE, RUNNING, LOST, TO_DO = "done", "running", "failed", "to do"
STATES = (DONE, RUNNING, LOST, TO_DO)
COLOURS = {DONE: 32, RUNNING: 33, LOST: 31}
LATELY = 600.0  # s over which jobs are counted for the rate
LINES = 8  # of a failed job's log
SHOWN = 3  # kinds of failures whose log is shown
LOCKS = Path(".snakemake/locks")
Key = tuple[str, ...]


def key_of(rule: str, wildcards: dict[str, str]) -> Key:
    """Name one job of a rule."""
    return (rule, *(f"{name}={value}" for name, value in sorted(wildcards.items())))


@dataclass(frozen=True)
class JobHistory:
    """What the ledger and the logs say of one job."""

    made: list[dict[str, Any]] = field(default_factory=list)  # its attempts
    alive: bool | None = False  # whether the last one runs; None: nobody here can know
    silent: float = 0.0  # s since its log was written
    failure: Failure | None = None

    def state(self, *, planned: bool, asked: datetime) -> str:
        """Say where the job stands.

        Parameters
        ----------
        planned
            Whether Snakemake planned it, when it was asked.
        """
        last = self.made[-1] if self.made else {}
        if self.alive or (self.alive is None and self.silent < patience()):
            return RUNNING
        ended_since = last.get("ended") == OK and datetime.fromisoformat(last["stopped"]) > asked
        if not planned or ended_since:
            return DONE
        return LOST if self.failure or last.get("ended") == KILLED else TO_DO

    def why(self) -> str:
        """Say why it failed."""
        if self.made and self.made[-1]["ended"] == KILLED:
            if self.alive is None:
                return (
                    f"It ran on another machine, and its log has been silent for "
                    f"{_time(self.silent)}: it was killed, perhaps."
                )
            return "It was killed: out of memory, over its time limit, by hand, or by a power cut."
        return self.failure.why if self.failure else ""


def read_past(results: Path) -> dict[Key, JobHistory]:
    """Read what the ledger and the records of failures say, by job."""
    failed = {key_of(f.rule, f.wildcards): f for f in failures(results / "logs")}
    found = {key: JobHistory(failure=failure) for key, failure in failed.items()}
    for path in sorted(results.glob(f"ledger/*/*{ENDING}")):
        made = attempts(path)
        if made and "rule" in made[-1]:
            key = key_of(made[-1]["rule"], made[-1]["wildcards"])
            alive = is_alive(path, made[-1]) if made[-1]["ended"] == KILLED else False
            log = results / "logs" / path.parent.name / f"{path.stem}.log"
            silent = time.time() - log.stat().st_mtime if log.exists() else float("inf")
            found[key] = JobHistory(made, alive, silent, failed.get(key))
    return found


@dataclass(frozen=True)
class Progress:
    """Where every job of a study stands, and what is known of it."""

    states: dict[Key, str]
    jobs: dict[Key, Job]
    past: dict[Key, JobHistory]
    now: datetime

    @property
    def counts(self) -> dict[str, Counter]:
        """Rule to how many of its jobs are in each state."""
        counts: dict[str, Counter] = {}
        for key, state in self.states.items():
            counts.setdefault(key[0], Counter())[state] += 1
        return counts

    def of(self, state: str) -> list[Key]:
        """Return the jobs in a state."""
        return [key for key, one in self.states.items() if one == state]

    def _well(self, key: Key) -> list[dict[str, Any]]:
        return [one for one in self.past.get(key, JobHistory()).made if one["ended"] == OK]

    def mean_seconds(self) -> dict[str, float]:
        """Return rule to the mean wall time of the study's jobs that have ended well, seconds."""
        took: dict[str, list[float]] = {}
        for key in self.states:
            took.setdefault(key[0], []).extend(one["wall_s"] for one in self._well(key))
        return {rule: sum(walls) / len(walls) for rule, walls in took.items() if walls}

    def rate(self) -> tuple[int, float]:
        """Return how many jobs have ended well lately, and in how many seconds."""
        ended = [one for key in self.states for one in self._well(key)]
        lately = [one for one in ended if self.since(one["stopped"]) < LATELY]
        begun = max((self.since(one["started"]) for one in lately), default=LATELY)
        return len(lately), min(LATELY, begun)

    def since(self, stamp: str) -> float:
        """Return the seconds since a time of the ledger."""
        return (self.now - datetime.fromisoformat(stamp)).total_seconds()

    def seconds_left(self, prices: CostModel) -> tuple[float, int]:
        """Project the wall time of what is not done, one job at a time.

        Returns
        -------
        seconds
        assumed
            Of how many jobs, for none of their rule has a record: `make plan` projects them.
        """
        mean, seconds, assumed = self.mean_seconds(), 0.0, 0
        for key, state in self.states.items():
            if state == DONE:
                continue
            cost = None if key[0] in mean else prices.cost(self.jobs[key])
            assumed += cost is not None and key[0] != "publish"
            wall = (cost.gpu or cost.cores / THREADS.get(key[0], 1)) if cost else mean[key[0]]
            if state == RUNNING:
                wall = max(0.0, wall - self.since(self.past[key].made[-1]["started"]))
            seconds += wall
        return seconds, assumed


def measure_progress(
    every: list[Job], planned: list[Job], past: dict[Key, JobHistory], asked: datetime
) -> Progress:
    """Say where each job stands.

    Parameters
    ----------
    every, planned
        All jobs of a study, and those that are not done.
    asked
        When that was found out.
    """
    jobs = {key_of(job.rule, job.wildcards): job for job in every}
    waits = {key_of(job.rule, job.wildcards) for job in planned}
    states = {
        key: past.get(key, JobHistory()).state(planned=key in waits, asked=asked) for key in jobs
    }
    return Progress(states, jobs, past, datetime.now(UTC))


def _time(seconds: float) -> str:
    for unit, length in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"


def _painted(text: str, state: str) -> str:
    """Return a text in the colour of a state, on a terminal that wants colours."""
    if state in COLOURS and sys.stdout.isatty() and not os.environ.get("NO_COLOR"):
        return f"\033[{COLOURS[state]}m{text}\033[0m"
    return text


def _table(standing: Progress) -> Iterator[str]:
    mean = standing.mean_seconds()
    yield f"{'rule':<18}" + "".join(f"{state:>9}" for state in STATES) + f"{'each':>10}"
    counts = standing.counts
    for rule, count in [*counts.items(), ("total", sum(counts.values(), Counter()))]:
        cells = (_painted(f"{count[s] or '-':>9}", s if count[s] else "") for s in STATES)
        each = _time(mean[rule]) if rule in mean else "-"
        yield f"{rule:<18}{''.join(cells)}{each if rule != 'total' else '':>10}"


def _pace(standing: Progress, prices: CostModel) -> Iterator[str]:
    """Say how fast it goes, and how long it may take."""
    count, span = standing.rate()
    if count:
        yield f"{count} jobs ended in the last {_time(span)}: {60 * count / span:.1f} a minute."
    seconds, assumed = standing.seconds_left(prices)
    at_once = len(standing.of(RUNNING))
    how = f"{at_once} at a time, as now" if at_once > 1 else "one at a time"
    rest = f"; {assumed} jobs of rules without a record as `make plan` projects" if assumed else ""
    yield (
        f"Left: about {_time(seconds / max(1, at_once))}, an estimate: jobs not done times the "
        f"mean of their rule, {how}{rest}."
    )


def _named(job: Job) -> str:
    return f"{job.rule} {', '.join(job.wildcards.values())}".rstrip()


def _running(standing: Progress) -> Iterator[str]:
    for key in standing.of(RUNNING):
        past, name = standing.past[key], _named(standing.jobs[key])
        took = _time(standing.since(past.made[-1]["started"]))
        here = "" if past.alive else f"; on another machine, log written {_time(past.silent)} ago"
        yield f"  {name}: for {took}{here}"


def _failed(standing: Progress) -> Iterator[str]:
    """Yield a line for each kind of failure, and the last log lines of the first few."""
    lost = []
    for key in standing.of(LOST):
        past, job = standing.past[key], standing.jobs[key]
        log = past.failure.log if past.failure else ""
        lost.append(Failure(job.rule, dict(job.wildcards), past.why(), log))
    for number, alike in enumerate(by_kind(lost)):
        yield _painted(f"  {described(alike)}", LOST)
        if number < SHOWN and alike[0].log:
            yield from (f"    | {line}" for line in last_lines(Path(alike[0].log)))


def last_lines(log: Path) -> list[str]:
    """Return the last lines of a log, or of its copy where Snakemake has removed it."""
    for path in (log, log.with_suffix(KEPT)):
        if path.exists():
            lines = path.read_text(errors="replace", encoding="utf-8").splitlines()
            return [line.rstrip() for line in lines if line.strip()][-LINES:]
    return []


def report(study: Study, standing: Progress, prices: CostModel, *, locked: bool) -> str:
    """Return all of it as a text to read."""
    lines = [f"Study {study.name!r}: {describe(study)}.", "", *_table(standing), ""]
    left = len(standing.states) - len(standing.of(DONE))
    if not left:
        return "\n".join([*lines, "Everything is made."])
    lines += _pace(standing, prices)
    for title, part in (("Running", _running(standing)), ("Failed", _failed(standing))):
        found = list(part)
        lines += ["", f"{title}:", *found] if found else []
    if locked and not standing.of(RUNNING):
        lines += ["", "A Snakemake holds the lock of this folder, and none of its jobs runs: it is "
                      "between two jobs, or was killed (`snakemake --unlock`)."]  # fmt: skip
    return "\n".join(lines)


def main(name: str, folder: Path = Path("config")) -> None:
    """Say how far the study in `config/{name}.yaml` is, `demo` for the default."""
    path = folder / f"{'config' if name == 'demo' else name}.yaml"
    site = resolve_site(read_yaml(path), folder)
    study = checked_study(site.study, folder, files=(str(path),))
    on_gpu = uses_gpu(study, site)
    device = ["device=job"] if on_gpu else []
    print("Asking Snakemake what is made and what is not …", file=sys.stderr, flush=True)
    asked = datetime.now(UTC)
    with ThreadPoolExecutor(2) as pool:
        every, planned = pool.map(
            lambda flags: planned_jobs(path, *device, flags=flags), [("--forceall",), ()]
        )
    standing = measure_progress(every, planned, read_past(RESULTS), asked)
    print(report(study, standing, CostModel(study, on_gpu), locked=any(LOCKS.glob("*"))))


if __name__ == "__main__":
    restart_in_utf8()
    try:
        main(sys.argv[1])
    except CryotomeError as error:
        sys.exit(str(error))
