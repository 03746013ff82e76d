"""Ranks of models under each head, and of rows over training domains."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from cryotome.core.files import RunPath
from cryotome.study.schemes import Scheme

MIN_BLOCKS = 5  # training domains; fewer give no critical difference
FIT_NOTES = ["feature_sd", "effective_c", "zero"]  # of a linear fit, in its provenance


def read_fit_notes(predictions: list[Path]) -> pd.DataFrame:
    """Read the notes of the linear fits from the provenance of each file of predictions.

    Returns
    -------
    data frame with columns dataset, model, head, feature_sd (root mean square of the
    per-dimension SD of the training embeddings as the head saw them), effective_c
    (scikit-learn's C of the ridge that has the same optimum; of `ridge_cv` on its
    standardised features, comparable with no other head), zero (fraction of folds whose
    optimum is W = 0), medians and means over folds; empty where a head has no such note
    """
    lines = []
    for path in predictions:
        notes = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        run = RunPath.of(path)
        lines.append(
            (run.dataset, run.model, run.head, *(notes.get(name, np.nan) for name in FIT_NOTES))
        )
    table = pd.DataFrame(lines, columns=["dataset", "model", "head", *FIT_NOTES])
    table = table.astype(dict.fromkeys(FIT_NOTES, float))
    how = {"feature_sd": "median", "effective_c": "median", "zero": "mean"}
    return table.groupby(["dataset", "model", "head"]).agg(how).reset_index()


def rank_models(table2: pd.DataFrame, notes: pd.DataFrame, rows: list[str]) -> pd.DataFrame:
    """Rank the models of Table 2 under each head that takes their embeddings.

    Parameters
    ----------
    table2
        The study's Table 2.
    notes
        From `read_fit_notes`.
    rows
        Keys of the rows whose embeddings several heads take.

    Returns
    -------
    data frame with columns study, dataset, head, model, where (`in`, `out`), auroc, rank
    (1 is best; within dataset, head and where), feature_sd, effective_c, zero, tau
        tau: Kendall's rank correlation of the head's order with the first head's.
    """
    wanted = (table2["model"] + " + " + table2["head"]).isin(rows)
    parts = []
    for where in ("in", "out"):
        part = table2.loc[wanted, ["study", "dataset", "head", "model"]].assign(where=where)
        part["auroc"] = table2.loc[wanted, f"{where}_mean"]
        parts.append(part.dropna(subset="auroc"))
    table = pd.concat(parts, ignore_index=True)
    groups = table.groupby(["dataset", "where", "head"])["auroc"]
    table["rank"] = groups.rank(ascending=False)
    table = table.merge(notes, on=["dataset", "model", "head"], how="left")
    table["tau"] = np.nan
    for _, part in table.groupby(["dataset", "where"]):
        wide = part.pivot(index="model", columns="head", values="auroc")
        first = wide[part["head"].iloc[0]]
        for head in wide:
            both = wide[head].notna() & first.notna()
            tau = stats.kendalltau(wide[head][both], first[both]).statistic
            table.loc[part.index[part["head"] == head], "tau"] = tau
    return table


def mean_ranks(intervals: pd.DataFrame, order: list[str]) -> pd.DataFrame:
    """Rank the rows in every training domain, in domain and out of domain.

    Parameters
    ----------
    intervals
        The study's intervals.csv.
    order
        Names of the rows.

    Returns
    -------
    data frame with columns tested, row, blocks, mean_rank (1 is best), friedman_p, note
        A block of Friedman's test is a training domain of a dataset. Descriptive: blocks share
        slides.
    """
    crossed = intervals[_of_one_domain(intervals)]
    lines = []
    for tested, part in crossed.groupby("tested"):
        wide = part.pivot_table(index=["dataset", "scheme"], columns="row", values="auroc")
        wide = wide[[row for row in order if row in wide]].dropna()
        means = wide.rank(axis=1, ascending=False).mean()
        enough = len(wide) >= MIN_BLOCKS and wide.shape[1] > 2
        p = stats.friedmanchisquare(*wide.to_numpy().T).pvalue if enough else np.nan
        note = "" if enough else too_few_note(len(wide), wide.shape[1])
        lines += [(tested, row, len(wide), mean, p, note) for row, mean in means.items()]
    return pd.DataFrame(
        lines, columns=["tested", "row", "blocks", "mean_rank", "friedman_p", "note"]
    )


def _of_one_domain(intervals: pd.DataFrame) -> pd.Series:
    """Return which lines train on one domain, (n,) bool; not those that pool such schemes."""
    schemes = intervals["scheme"].map(Scheme.parse)
    return schemes.map(lambda one: one.is_cross_domain and one != one.every).astype(bool)


def too_few_note(blocks: int, rows: int) -> str:
    """Return why no critical difference is drawn."""
    return f"{blocks} training domains, {rows} rows: a critical difference needs {MIN_BLOCKS} and 3"


def values_by_block(intervals: pd.DataFrame, tested: str) -> pd.DataFrame:
    """Return AUROCs, one line per training domain and one column per row, for a post-hoc test."""
    part = intervals[_of_one_domain(intervals) & (intervals["tested"] == tested)]
    return part.pivot_table(index=["dataset", "scheme"], columns="row", values="auroc").dropna()
