"""Say what a study will take before anything runs: `python -m cryotome.cli.plan ganz2024`.

Jobs are those that `snakemake -n` plans; what is done already is not among them.
"""

import os
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import pandas as pd

from cryotome.core.cards import read_yaml
from cryotome.core.errors import CryotomeError, WeightsError
from cryotome.encoders.weights import candidate_paths, find_weights, has_weights_file
from cryotome.runtime.interpreter import restart_in_utf8
from cryotome.study.costs.prices import (
    CORE_GFLOPS,
    EMBEDDING,
    GPU,
    STEP,
    TRAINING,
    Cost,
    CostModel,
    Job,
    cells_of,
    gflop_of,
    job_name,
)
from cryotome.study.site import PLAN, RESULTS, Site, resolve_site
from cryotome.study.study import UNKNOWN_PATIENTS, Study

# no two threads of a processor compute faster, and no GPU slower: GFLOP/s
BETWEEN = 2_000
# nor does any GPU: 16-bit matrix peaks are 989 TFLOP/s (H100); more means that work was left out
FASTEST = 1_000_000
# in the log of a job that found work done, or waited: its time says nothing of its work
UNTYPICAL = re.compile("going on after|resuming after|taken over|waiting for", re.I)
Rates = dict[tuple[str, str, str], float]
BENCHMARKS = {
    "embed": r"(?P<dataset>[^.]+)\.(?P<view>[^.]+)\.(?P<model>[^.]+)",
    "train_endtoend": r"(?P<dataset>[^.]+)\.(?P<scheme>[^.]+)\.(?P<model>[^.]+)\.(?P<head>[^.]+)"
    r"\.fraction=(?P<fraction>[0-9.]+)\.fold=(?P<fold>[0-9]+)",
}


def uses_gpu(study: Study, site: Site) -> bool:
    """Whether the study's networks are to run on a GPU, be it another machine's."""
    device = study.config["device"]
    return device == "job" or (device == "auto" and (site.gpu_jobs > 0 or not study.synthetic))


def planned_jobs(config: Path, *settings: str, flags: tuple[str, ...] = ()) -> list[Job]:
    """Return the jobs that Snakemake plans in the current folder, without data at hand.

    The folder's lock is neither taken nor heeded, so that a run under way is not disturbed.

    Parameters
    ----------
    settings
        Of `--config`, such as `device=job`.
    flags
        More of the command line, such as `--forceall`.

    Raises
    ------
    CryotomeError
        It refuses to plan; the text is its own.
    """
    command = [sys.executable, "-m", "snakemake", "-n", "--nocolor", "--nolock", *flags]
    command += ["--configfile", str(config)]
    command += ["--config", *settings] if settings else []
    # a profile of the user's may say `quiet`, and then nothing is read here
    env = {name: value for name, value in os.environ.items() if name != "SNAKEMAKE_PROFILE"}
    done = subprocess.run(
        command, env=env | {PLAN: "1"}, capture_output=True, encoding="utf-8", check=False
    )
    if done.returncode:
        raise CryotomeError(f"Snakemake plans nothing:\n{(done.stdout + done.stderr)[-3000:]}")
    return read_jobs(done.stdout + done.stderr)


def read_jobs(said: str) -> list[Job]:
    r"""Read the jobs out of what a dry run says; `all` makes nothing and is none.

    >>> read_jobs("rule embed:\n    output: e.h5\n    wildcards: dataset=d, model=m\n\nrule all:\n")
    [Job(rule='embed', wildcards={'dataset': 'd', 'model': 'm'})]
    """
    found = []
    for block in re.split(r"^(?:local)?rule ", said, flags=re.M)[1:]:
        wildcards = re.search(r"^    wildcards: (.*)$", block.split("\n\n")[0], re.M)
        pairs = wildcards[1].split(", ") if wildcards else []
        found.append(Job(block.split(":")[0], dict(pair.split("=", 1) for pair in pairs)))
    return [job for job in found if job.rule != "all"]


def measured_rates(study: Study, results: Path, *, on_gpu: bool) -> Rates:
    """Return GFLOP/s by rule, model and head, from the benchmarks of jobs that have run.

    Left out are jobs of the other kind of machine and faster than any, told by their rate; and
    those that did not work from start to end, told by their log, or lost it.
    """
    work: Rates = defaultdict(float)
    seconds: Rates = defaultdict(float)
    for rule, pattern in BENCHMARKS.items():
        for path in sorted((results / "benchmarks" / rule).glob("*.tsv")):
            known = re.fullmatch(pattern, path.stem)
            log = results / "logs" / rule / f"{path.stem}.log"
            if not (known and log.exists()) or UNTYPICAL.search(
                log.read_text(errors="replace", encoding="utf-8")
            ):
                continue
            if known["dataset"] not in study.all_datasets or known["model"] not in study.models:
                continue
            job = Job(rule, known.groupdict())
            gflop, took = gflop_of(study, job), float(pd.read_csv(path, sep="\t")["s"].mean())
            bounds = (BETWEEN, FASTEST) if on_gpu else (0, BETWEEN)
            if took and bounds[0] < gflop / took <= bounds[1]:
                work[job_name(job)] += gflop
                seconds[job_name(job)] += took
    return {name: work[name] / seconds[name] for name in work}


def missing_downloads(study: Study, site: Site) -> Iterator[tuple[str, float]]:
    """Yield what must be fetched, in words, and its size in bytes: data, then weights.

    Of a record that is there in part the missing share counts.
    """
    for card in map(study.record, study.records):
        share = 1 - min(1, _there(card["files"].values(), site.data_root) / card["expect"])
        if share:
            yield f"{card['title']} (make data)", share * card["gigabytes"] * 1e9
    sizes: dict[Path, float] = {}
    for model in study.models:
        card = study.model(model)
        if has_weights_file(card):
            try:
                find_weights(card, model, site.weights_dir)
            except WeightsError:
                sizes[candidate_paths(card, model, site.weights_dir)[1]] = card["parameters"] * 4
    if sizes:
        what = f"{len(sizes)} files of weights, at 4 bytes a parameter (make weights)"
        yield what, sum(sizes.values())


def _there(targets: Iterable[str], data_root: Path) -> int:
    """Count the files below the folders that a record's files go to."""
    found: set[Path] = set()
    for target in targets:
        fixed, *variable = target.split("\\")
        place = data_root / fixed
        below = place.rglob("*") if variable else [place]
        found |= {path for path in below if path.is_file() and path.suffix != ".part"}
    return len(found)


def table(jobs: list[Job], prices: CostModel) -> str:
    """Return jobs, time and disk by rule, the dearest first, as a text to read."""
    counts = Counter(job.rule for job in jobs)
    costs = dict.fromkeys(sorted(counts), Cost())
    for job in jobs:
        costs[job.rule] += prices.cost(job)
    head = f"{'rule':<16}{'jobs':>7}{'each':>10}{'GPU-h':>10}{'core-h':>10}{'disk':>11}"
    dearest = sorted(costs, key=lambda rule: (-costs[rule].gpu, -costs[rule].cores))
    lines = [
        _line(rule, n, _time((cost.gpu or cost.cores) / n), cost)
        for rule in dearest
        for n, cost in [(counts[rule], costs[rule])]
    ]
    return "\n".join([head, *lines, _line("total", len(jobs), "", sum(costs.values(), Cost()))])


def _line(rule: str, count: int, each: str, cost: Cost) -> str:
    gpu = f"{cost.gpu / 3600:,.1f}" if cost.gpu else "-"
    return (
        f"{rule:<16}{count:>7,}{each:>10}{gpu:>10}{cost.cores / 3600:>10,.1f}{_size(cost.disk):>11}"
    )


def _time(seconds: float) -> str:
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"


def _size(count: float) -> str:
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.1f} MB"


def _assumed(study: Study, prices: CostModel, jobs: list[Job]) -> Iterator[str]:
    """Say what the times rest on."""
    if prices.on_gpu:
        yield (
            f"GPU-hours: projected, not measured: one {GPU} at {EMBEDDING['fp16'] / 1e3:g} TFLOP/s "
            f"in 16 bits and {EMBEDDING['fp32'] / 1e3:g} in fp32 for embedding, "
            f"{TRAINING['bf16'] / 1e3:g} and {TRAINING['fp32'] / 1e3:g} for training, "
            f"{STEP * 1e3:g} ms a step at least."
        )
        days = sum(gflop_of(study, job) for job in jobs) / CORE_GFLOPS / (os.cpu_count() or 1)
        yield (
            f"Without a GPU: {days / 86_400:,.1f} days on this machine's {os.cpu_count()} cores, "
            f"at {CORE_GFLOPS} GFLOP/s each."
        )
    else:
        yield f"Networks run on the processor: {CORE_GFLOPS} GFLOP/s a core, assumed."
    yield (
        "core-hours: cutting, probes and starts as measured on two Xeon cores "
        "(docs/performance.md), the rest estimated; GPU jobs keep one or two cores."
    )
    used = {job_name(job) for job in jobs} & set(prices.rates)
    for rule, model, head in sorted(used):
        rate = prices.rates[rule, model, head]
        yield f"  {rule} {model} {head}: measured here in earlier jobs, {rate:,.1f} GFLOP/s"
    for name in study.all_datasets:
        card = study.dataset(name)
        of_cells = card["reader"] != "slides"
        if not of_cells and "expect" not in card:
            yield (
                f"  {name}: its card has no `expect:`, so slides that are not at hand count as "
                f"{UNKNOWN_PATIENTS}"
            )
        if of_cells and not sum(cells_of(study, name).values()):
            yield f"  {name}: its card has no `expect:`, so its cells are counted as none"


def plan(study: Study, site: Site, jobs: list[Job]) -> str:
    """Return what a study will take: jobs, hours, disk, downloads."""
    on_gpu = uses_gpu(study, site)
    rates = measured_rates(study, RESULTS, on_gpu=on_gpu)
    prices = CostModel(study, on_gpu, rates)
    lines = [
        f"Study {study.name!r}: {study.summary}. Nothing has been run.",
    ]
    if not jobs:
        return f"{lines[0][:-22]}Everything is made already."
    lines += ["", table(jobs, prices), "", *_assumed(study, prices, jobs)]
    passing = max(map(prices.in_passing, jobs))
    lines.append(f"Disk in passing, below results/partial: up to {_size(passing)} a job under way.")
    wanted = list(missing_downloads(study, site))
    total = _size(sum(size for _, size in wanted))
    lines.append(f"Downloads, about {total}:" if wanted else "Downloads: none.")
    lines += [f"  {_size(size):>9}  {what}" for what, size in wanted]
    return "\n".join(lines)


def main(name: str, folder: Path = Path("config")) -> None:
    """Plan the study in `config/{name}.yaml`, `demo` for the default, and print what it takes."""
    path = folder / f"{'config' if name == 'demo' else name}.yaml"
    site = resolve_site(read_yaml(path), folder)
    study = Study(site.study, folder, files=(str(path),))
    device = ["device=job"] if uses_gpu(study, site) else []
    print(plan(study, site, planned_jobs(path, *device)))


if __name__ == "__main__":
    restart_in_utf8()
    try:
        main(sys.argv[1])
    except CryotomeError as error:
        sys.exit(str(error))
