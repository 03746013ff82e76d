"""The whole study of Ganz et al. 2024 on invented embeddings: does it run, and is it right?

Real cells of MIDOG 2022, real slides of CCMCT, nine rows at the widths of real encoders with
planted effects (`worlds.py`); every file is written by the workflow's own scripts, as
Snakemake would call them. Then the ladder is asked for what was planted: studies of a world
with and one without leakage, and how many of their 95 % intervals hold the truth.

    python benchmarks/full_study.py --data ../shared/data --out /tmp/full --quick   # narrow
    python benchmarks/full_study.py --data ../shared/data --out /tmp/full

Wall time of each stage and peak memory are printed, and kept in stages.csv. The truth is that
of these slides and labels with new embeddings, while the intervals are made for new slides
too: they should hold it in 95 % of studies or more.
"""

import argparse
import os
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[1]
sys.path[1:1] = [str(ROOT / "workflow")]

from steps import (
    IDENTITY,
    MODELS,
    Dataset,
    Report,
    draw_splits,
    fit_model,
    studies,
    write_cards,
)
from truth import ASKED, ask_worlds, covered, seeds_of
from worlds import WORLDS, embed, invent_ccmct, read_midog2022

from cryotome.study.checks import checked_study
from cryotome.study.study import Study

NARROW = 64  # the width of everything with --quick


@dataclass
class Clock:
    """Wall time of each stage, and the peak of memory up to its end."""

    lines: list[tuple[str, float, float]] = field(default_factory=list)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        self.lines.append((name, time.perf_counter() - start, peak))
        print(f"{name}: {self.lines[-1][1]:.1f} s, peak so far {peak:.2f} GiB", flush=True)

    def table(self) -> pd.DataFrame:
        return pd.DataFrame(self.lines, columns=["stage", "seconds", "peak_gib"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the real annotations")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--quick", action="store_true", help=f"{NARROW} dimensions, two folds, fewer draws"
    )
    parser.add_argument("--replicates", type=int, help="worlds that tell the truth (10)")
    parser.add_argument("--studies", type=int, help="worlds whose intervals are counted (10)")
    args = parser.parse_args()
    data, out, few = args.data.resolve(), args.out.resolve(), 4 if args.quick else 10
    counts = (args.replicates or few, args.studies or few)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        run(data, out, counts, quick=args.quick)
        os.chdir(ROOT)


def run(data: Path, out: Path, counts: tuple[int, int], *, quick: bool) -> None:
    """Run everything in the current folder; leave tables and figures in `out`."""
    clock, terminal = Clock(), sys.stderr
    widths = {name: NARROW if quick else width for name, (width, _) in MODELS.items()}
    asked, size = (NARROW, (200, 2)) if quick else (ASKED, (1000, 5))  # draws of slides, folds
    with open(out / "log.txt", "w", buffering=1, encoding="utf-8") as log, redirect_stderr(log):
        with clock.stage("cells, windows"):
            write_cards(Path("config"), widths)
            every = [checked_study(c, Path("config")) for c in studies(*size).values()]
            of = [
                Dataset("midog2022", read_midog2022(data, every[0].dataset("midog2022"))),
                Dataset("ccmct", invent_ccmct(data)),
            ]
        with clock.stage("splits and their audits"):
            for study, one in tqdm(list(product([every[0], every[2]], of)), "split", file=terminal):
                draw_splits(study, one)
        for one in of:
            with clock.stage(f"embeddings, probes, scores: {one.name}"):
                fit_models(every, one, widths, terminal)
        reports = [Report(study, of) for study in every]
        for what in ("compare", "tables", "figures"):
            with clock.stage(what):
                for report in tqdm(reports, what, file=terminal):
                    getattr(report, what)()
        with clock.stage("ladder"):
            reports[2].ladder()
        with clock.stage(f"truth of the ladder, {asked} dimensions"):
            total = len(of) * sum(len(seeds_of(world, counts)) for world in WORLDS)
            with tqdm(total=total, desc="worlds", file=terminal) as bar:
                studied, truth = ask_worlds(reports[2], asked, counts, bar)
    keep(out, studied, truth, clock)


def fit_models(every: list[Study], one: Dataset, widths: dict[str, int], terminal: object) -> None:
    """Fit all rows of all studies on one dataset."""
    place = pd.factorize(one.cells["slide"], sort=True)[0][:, None].astype(np.float32)
    bar = tqdm([IDENTITY["model"], *MODELS], one.name, file=terminal)
    for number, model in enumerate(bar):
        if model == IDENTITY["model"]:
            fit_model(every, one, model, place)
            continue
        width, (real, signal) = widths[model], MODELS[model]
        # narrow ones are larger, so that the penalty weighs as it does at the real width
        how = {"width": width, "signal": signal, "seed": number, "sd": real / width}
        fit_model(every, one, model, embed(one.cells, one.shares, WORLDS["planted"], **how))


def keep(out: Path, studied: pd.DataFrame, truth: pd.DataFrame, clock: Clock) -> None:
    """Copy the products, write what was asked of the worlds, print all that matters."""
    shutil.copytree("results/studies", out, dirs_exist_ok=True)
    truth.to_csv(out / "truth.csv", index=False, float_format="%.5g")
    studied.to_csv(out / "truth_studies.csv", index=False, float_format="%.5g")
    clock.table().to_csv(out / "stages.csv", index=False, float_format="%.4g")
    ladder = pd.read_csv(out / "full_ladder" / "ladder.csv")
    shown = ["dataset", "row", "rung", "n_train", "auroc", "low", "high", "within_slide"]
    shown += ["cost", "cost_low", "cost_high", "slide_prevalence_auroc"]
    how = {"index": False, "float_format": lambda value: f"{value:.3f}"}
    print(ladder[shown].to_string(**how), "\n")
    print((out / "full" / "table2.md").read_text(encoding="utf-8"))
    print(clock.table().to_string(**how), "\n")
    print(truth.to_string(**how | {"float_format": lambda value: f"{value:.4f}"}), "\n")
    alone = ladder[ladder["row"] == "slide_identity + slide_prevalence"]
    for line in alone.to_dict("records"):
        print(f"slide alone, {line['dataset']}, {line['rung']}: {line['auroc']:.3f}")
    print(covered(studied))


if __name__ == "__main__":
    main()
