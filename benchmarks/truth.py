"""Worlds whose ladder is known: what each rung costs, and whether our intervals hold it."""

import json
from itertools import product

import numpy as np
import pandas as pd
from steps import Dataset, Report
from tqdm import tqdm
from worlds import WORLDS, embed

from cryotome.core.cards import without_notes
from cryotome.data.splits.cells import indices_of
from cryotome.evaluation.leakage_ladder import measure_ladder, read_leaks
from cryotome.evaluation.statistics.paired_scores import load_paired_scores
from cryotome.evaluation.statistics.rows import prepare_rows
from cryotome.learners.predictions import write_predictions
from cryotome.learners.probes.fold_batches import FoldRows
from cryotome.learners.probes.probe import fit_and_score_folds

FIRST = 1000  # seed of the first study; replicates that tell the truth have lower ones
ASKED, SIGNAL = 768, 1.5  # width and signal of the worlds that are asked for their truth


def ask_world(report: Report, of: Dataset, world: str, width: int, seed: int) -> pd.DataFrame:
    """Run the ladder of one world, new embeddings, two heads; return what it says of costs."""
    study, y = report.study, of.cells["label"].to_numpy()
    how = {"width": width, "signal": SIGNAL, "seed": seed, "sd": ASKED / width}
    x = embed(of.cells, of.shares, WORLDS[world], **how)
    paths = [path for s in study.schemes(of.name) for path in of.splits(study, s)]
    tables = [pd.read_csv(path) for path in paths]
    ids, tested = of.cells["id"].to_numpy(), [t[t["role"] == "test"] for t in tables]
    rows = [
        [indices_of(ids, t.loc[t["role"] == role, "id"]) for t in tables]
        for role in ("train", "test")
    ]
    folds = [FoldRows(train, train[:0], test) for train, test in zip(*rows, strict=True)]
    files = []
    for head in ("linear_probe", "ridge"):
        fitted = fit_and_score_folds(json.loads(without_notes(study.head(head))), x, y, folds)
        made = [p for s in study.schemes(of.name) for p in of.predictions(study, s, "asked", head)]
        for path, roles, drawn, fold, (scores, *_) in zip(
            made, tested, paths, folds, fitted, strict=True
        ):
            notes = {"n_train": len(fold.train)}
            write_predictions(
                path, roles.assign(label=y[fold.scored]), scores, split=drawn, notes=notes
            )
        files += made
    settings = load_paired_scores(files, {of.name: of.cells.set_index("id")})
    known = prepare_rows(settings, report.rows["statistics"], pd.read_csv(report.calibration))
    leaks = read_leaks([path.with_suffix(".leakage.csv") for path in paths])
    told = measure_ladder(known, leaks, report.rows)
    return told[told["rung"] != "random_matched"].assign(world=world, seed=seed)


def seeds_of(world: str, counts: tuple[int, int]) -> list[int]:
    """Return the seeds of replicates, below `FIRST`, and of studies; `none` costs nothing."""
    replicates, asked = counts
    return [*range(0 if world == "none" else replicates), *range(FIRST, FIRST + asked)]


def ask_worlds(
    report: Report, width: int, counts: tuple[int, int], bar: tqdm
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return every interval of the studies beside the truth, and a summary with its errors."""
    tables = []
    for world, of in product(WORLDS, report.of.values()):
        for seed in seeds_of(world, counts):
            told = ask_world(report, of, world, width, seed)
            tables.append(told.assign(study=seed >= FIRST))
            bar.update()
    told = pd.concat(tables, ignore_index=True)
    keys = ["world", "dataset", "row", "rung"]
    planted = told[~told["study"]].groupby(keys, sort=False)["cost"].agg(["mean", "sem"])
    truth = planted.rename(columns={"mean": "truth", "sem": "truth_error"}).reset_index()
    studied = told[told["study"]].merge(truth, on=keys, how="left")
    studied = studied.fillna({"truth": 0.0, "truth_error": 0.0})
    studied["held"] = studied["truth"].between(studied["cost_low"], studied["cost_high"])
    studied["nonzero"] = (studied["cost_low"] > 0) | (studied["cost_high"] < 0)
    grouped = studied.groupby(keys, sort=False)
    table = grouped.agg(
        truth=("truth", "first"), truth_error=("truth_error", "first"), cost=("cost", "mean"),
        sd=("cost", "std"), held=("held", "sum"), nonzero=("nonzero", "sum"),
        studies=("held", "size"),
    )  # fmt: skip
    half = studied.assign(half=(studied["cost_high"] - studied["cost_low"]) / 2)
    return studied, table.assign(
        half_width=half.groupby(keys, sort=False)["half"].mean()
    ).reset_index()


def covered(studied: pd.DataFrame) -> str:
    """Return the coverage of each world with its Monte-Carlo error over whole studies."""
    said = []
    for world, part in studied.groupby("world", sort=False):
        shares = part.groupby(["dataset", "seed"])["held"].mean()
        error = shares.std() / np.sqrt(len(shares))
        count = f"{part['held'].sum()} of {len(part)} intervals"
        said.append(f"{world} {part['held'].mean():.3f} ± {error:.3f} ({count})")
    return "95 % intervals of costs hold the truth: " + "; ".join(said)
