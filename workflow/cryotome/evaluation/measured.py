"""Measured numbers of a study, in the form in which published ones are compared with them."""

from pathlib import Path

import pandas as pd

from cryotome.core.files import RunPath
from cryotome.core.tables import read_csv
from cryotome.evaluation.published import COUNTS, KEYS
from cryotome.study.colorectal import PREDEFINED

MEASURED = ["value", "sd", "low", "high", "n_positive", "n_negative"]
LONG = [*KEYS, *MEASURED]
TESTED = {"all": "auroc", "in": "auroc_in", "out": "auroc_out"}
# values of the column `fold`: means over folds (`patients.score_cohort`), and the only fold of
# predefined sets
SUMMARY, VALIDATION, ONLY = "all", "validation", "0"


def read_summaries(paths: list[Path], *, fold: str = SUMMARY) -> pd.DataFrame:
    """Read the summary lines of score files of patches or slides.

    Parameters
    ----------
    fold
        `all`: the mean over folds with its interval; `validation`: that of the
        validation cells or patients.

    Returns
    -------
    data frame with columns dataset, scheme, model, head, quantity, fraction, value, sd, low, high,
    n_positive, n_negative
        `dataset` is the test set.
    """
    parts = [pd.DataFrame(columns=LONG)]
    for path in paths:
        run = RunPath.of(path)
        part = read_csv(path).astype({"fold": str})
        wanted = ONLY if run.scheme == PREDEFINED and fold == SUMMARY else fold
        part = part[part["fold"] == wanted].rename(
            columns={"metric": "quantity", "test_domain": "dataset"}
        )
        names = {"scheme": run.scheme, "model": run.model, "head": run.head}
        parts.append(part.assign(**names).reindex(columns=LONG))
    return pd.concat([part for part in parts if len(part)] or parts, ignore_index=True)


def read_intervals(path: Path) -> pd.DataFrame:
    """Read a study's intervals.csv, with the columns of `read_summaries`.

    Scheme `from_*` pools single domains, as Table 2 of Ganz et al. 2024 does.
    """
    table = read_csv(path)
    row = table["row"].str.split(" + ", n=1, regex=False)
    named = {"model": row.str[0], "head": row.str[1], "quantity": table["tested"].map(TESTED)}
    table = table.rename(columns={"auroc": "value"}).assign(**named)
    return table.astype({"fraction": float}).reindex(columns=LONG)


def read_counts(path: Path) -> pd.DataFrame:
    """Read parameters and features of the encoders; a count is its own interval."""
    sizes, columns = read_csv(path), COUNTS
    if "measured_dim" in sizes:  # Table 1 of Ganz et al. 2024, with what cards say beside
        columns = ["measured_parameters", "measured_dim"]
    sizes = sizes[["model", *columns]].set_axis(["model", *COUNTS], axis=1)
    counts = sizes.melt("model", var_name="quantity").dropna(subset="value")
    counts = counts.assign(dataset="", scheme="", head="", low=counts["value"])
    return counts.assign(high=counts["value"]).reindex(columns=LONG)
