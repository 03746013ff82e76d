"""What the grid itself costs: planning a study and one ten times as large; the start of a job.

The study is every row of `ganz2024`, `ammeling2025`, the ladder and, where it is there,
`roth2024`, under every scheme, at every fraction and fold. The larger one has the same rows of
ten copies of each model card. Both are planned by `snakemake -n` in a temporary copy of the
repository, data absent. Beside it stands the least that any planner of so many jobs must do:
start Snakemake, and look once for each file that the jobs make.

    python benchmarks/plan.py                     # both studies, then the start of a job
    python benchmarks/plan.py --copies 1 --repeats 5

The least of the repeats is printed, for wall time and for processor time apart: the second is
disturbed less by what runs beside.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path[1:1] = [str(ROOT / "workflow"), str(ROOT / "tests")]

from accidents import checkout

from cryotome.cli.plan import read_jobs
from cryotome.core import step_versions
from cryotome.core.cards import load_card, without_notes
from cryotome.study.load import config_file
from cryotome.study.site import PLAN

STUDIES = ["ganz2024", "ammeling2025", "ganz2024_ladder", "roth2024"]
SCHEMES = ["random", "random_independent", "no_overlap", "slide_grouped", "from_*", "except_*"]
SCHEMES += ["random_matched", "no_overlap_matched", "slide_grouped_matched", "except_*_matched"]
SNAKEMAKE = [sys.executable, "-m", "snakemake", "--nocolor"]
DRY = [*SNAKEMAKE, "-n", "--configfile", "whole.yaml", "--config", "device=per_job"]
MADE = "results/splits/demo_slides/random/fraction={}/fold=0.csv"


@dataclass(frozen=True)
class Run:
    """Wall and processor seconds of a process and all below it, and the peak of one, GiB."""

    wall: float
    cpu: float
    peak: float

    def __str__(self) -> str:
        return f"{self.wall:7.1f} s wall, {self.cpu:7.1f} s processor, {self.peak:5.2f} GiB"


def timed(command: list[str], folder: Path, said: Path, **environment: str) -> Run:
    """Run a command to its end, its output in a file."""
    start = time.perf_counter()
    with said.open("w", encoding="utf-8") as file:
        child = subprocess.Popen(
            command, cwd=folder, env=os.environ | environment, stdout=file, stderr=file
        )
        _, status, used = os.wait4(child.pid, 0)
    wall = time.perf_counter() - start
    if status:
        sys.exit(f"{' '.join(command)} failed:\n{said.read_text(encoding='utf-8')[-2000:]}")
    return Run(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 2**20)


def least(runs: list[Run]) -> Run:
    return Run(*(min(getattr(run, name) for run in runs) for name in ("wall", "cpu", "peak")))


def write_study(folder: Path, copies: int) -> int:
    """Write the config `whole.yaml` and the copies of model cards; return the number of rows."""
    configs = [config_file(name, folder / "config") for name in STUDIES]
    read = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in configs if path.exists()]
    rows = [row for config in read for row in config["rows"]]
    unique = [row for at, row in enumerate(rows) if row not in rows[:at]]
    for model in {row["model"] for row in unique}:
        for copy in range(1, copies):
            card = folder / "config" / "models" / f"{model}_copy{copy}.yaml"
            card.write_text(f"extends: {model}\n", encoding="utf-8")
    more = [
        row | {"model": f"{row['model']}_copy{copy}"} for copy in range(1, copies) for row in unique
    ]
    whole = read[0] | {"study": "whole", "rows": unique + more, "schemes": SCHEMES}
    (folder / "whole.yaml").write_text(yaml.safe_dump(whole), encoding="utf-8")
    return len(unique + more)


def plan(copies: int, repeats: int) -> None:
    """Time the planning of the whole study with so many copies of each model."""
    with tempfile.TemporaryDirectory() as place:
        folder = checkout(Path(place) / "clone")
        rows, said = write_study(folder, copies), Path(place) / "said"
        planned, started = [], []
        for _ in range(repeats):
            started.append(timed([*SNAKEMAKE, "--version"], folder, said))
            planned.append(timed(DRY, folder, said, **{PLAN: "1"}))
        text = said.read_text(encoding="utf-8")
        jobs = len(read_jobs(text))
        files = [path for line in re.findall(r"^    output: (.*)$", text, re.M)
                 for path in line.split(", ")]  # fmt: skip
        start = time.process_time()
        assert not any((folder / path).exists() for path in files)
        looked = time.process_time() - start
    best, floor = least(planned), least(started)
    print(f"{rows} rows, {jobs:,} jobs, {len(files):,} files")
    print(f"  planning      {best}, {1e3 * best.cpu / jobs:.2f} ms processor a job")
    print(f"  starting      {floor}")
    print(f"  looking once  {looked:7.2f} s processor")
    print(f"  planning takes {best.cpu / (floor.cpu + looked):.1f} times the two", flush=True)


def start(count: int, repeats: int) -> None:
    """Time real jobs of the demo that do next to nothing, through Snakemake and by hand."""
    with tempfile.TemporaryDirectory() as place:
        folder, said = checkout(Path(place) / "clone"), Path(place) / "said"
        run = [*SNAKEMAKE, "--cores", "1"]
        timed([*run, "results/audits/demo_slides.csv"], folder, said)
        many, one, direct, imports, bare = [], [], [], [], []
        for repeat in range(repeats):
            shares = [f"0.{200 + repeat * (count + 1) + n}" for n in range(count + 1)]
            many.append(timed([*run, *map(MADE.format, shares[1:])], folder, said))
            one.append(timed([*run, MADE.format(shares[0])], folder, said))
            direct.append(timed(by_hand(folder), folder, said, PYTHONPATH="workflow"))
            loaded = [sys.executable, "-c", "import split_cells"]
            imports.append(timed(loaded, folder, said, PYTHONPATH="workflow:workflow/scripts"))
            bare.append(timed([sys.executable, "-c", "pass"], folder, said))
    print(f"a job that draws a split, the least of {repeats}")
    print(f"  a run of one job                 {least(one)}")
    print(f"  a run of {count:2d} jobs                {least(many)}")
    step = (least(many).wall - least(one).wall) / (count - 1)
    step_cpu = (least(many).cpu - least(one).cpu) / (count - 1)
    print(f"  each job more                    {step:7.1f} s wall, {step_cpu:7.1f} s processor")
    print(f"  its script by hand               {least(direct)}")
    print(f"  of which Python with the imports {least(imports)}")
    print(f"  of which Python alone            {least(bare)}")


def by_hand(folder: Path) -> list[str]:
    """Return the command that draws a split without Snakemake."""
    (folder / "by_hand").mkdir(exist_ok=True)
    made = "by_hand/fraction=0.1/fold=0"
    (folder / made).parent.mkdir(exist_ok=True)
    given = {
        "cells": "results/cells/demo_slides.csv",
        "audit": "results/audits/demo_slides.csv",
        "split": f"{made}.csv",
        "about": f"{made}.json",
        "recipe": str(step_versions.SPLITS),
        "card": without_notes(load_card(folder / "config", "schemes", "random")),
        "drops": "",
        "scheme": "random",
        "fraction": "0.1",
        "fold": "0",
    }
    words = [word for name, value in given.items() for word in (f"--{name}", value)]
    return [sys.executable, "workflow/scripts/split_cells.py", *words, "--windows"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--copies", type=int, nargs="*", default=[1, 10], help="of each model")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=6, help="jobs of the second part, 0 for none")
    asked = parser.parse_args()
    for copies in asked.copies:
        plan(copies, asked.repeats)
    if asked.jobs:
        start(asked.jobs, asked.repeats)


if __name__ == "__main__":
    main()
