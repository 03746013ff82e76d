"""Table 2 from whatever there is, and why the rest is missing."""

import json
from pathlib import Path

import pandas as pd

from cryotome.cards import Card
from cryotome.failures import Failure
from cryotome.metrics import score_folds
from cryotome.paths import key, sha256
from cryotome.predictions import read_predictions
from cryotome.tables import KEYS, in_or_out, table2

SCORED = [*KEYS, "scheme", "train_domain", "test_domain", "fold", "value"]
LAST = "_last"  # a last checkpoint's row comes from the job of its head


def _keys(path: Path) -> dict[str, str]:
    """Return what a path of predictions says, as the wildcards of the jobs on the way to it."""
    dataset, scheme = path.parts[-7:-5]
    named = {name: key(path, name) for name in ("view", "model", "head", "fraction", "fold")}
    named["head"] = named["head"].removesuffix(LAST)
    return {"dataset": dataset, "scheme": scheme, **named}


def _why_unusable(path: Path, cells_sha256: str, failed: list[Failure]) -> str:
    """Say why a file of predictions is missing or of other cells; nothing where it is neither."""
    if path.exists():
        about = json.loads(path.with_suffix(".json").read_text())
        fits = about["cells_sha256"] == cells_sha256
        return "" if fits else f"{path} was made from other cells: run the study again"
    keys = _keys(path)
    reasons = {f.why: f.rule for f in failed if f.explains(keys)}
    said = [f"{rule}: {' '.join(why.split())}" for why, rule in reasons.items()]
    return "; ".join(said) or f"not run yet: snakemake --cores 8 {path}"


def at_hand(
    predictions: list[Path], cells: dict[str, Path], failed: list[Failure]
) -> tuple[pd.DataFrame, dict[tuple[str, ...], str]]:
    """Score the predictions that exist and belong to the cells at hand.

    Parameters
    ----------
    predictions
        All that a study asks for, whether they exist or not.
    cells
        Dataset to its table of cells, which may not exist either.
    failed
        Records of failed jobs.

    Returns
    -------
    scores
        As `tables.read_scores` gives them.
    why
        (dataset, model, head) to why its values are missing; only where some are.
    """
    tables = {name: pd.read_csv(path) for name, path in cells.items() if path.exists()}
    hashes = {name: sha256(cells[name]) for name in tables}
    parts = [pd.DataFrame(columns=SCORED)]
    why: dict[tuple[str, ...], str] = {}
    for path in predictions:
        keys = _keys(path) | {"head": key(path, "head")}
        dataset = keys["dataset"]
        missing = _why_unusable(path, hashes.get(dataset, ""), failed)
        if missing:
            why.setdefault(tuple(keys[name] for name in KEYS), missing)
            continue
        fold = {(keys.pop("fraction"), int(keys.pop("fold"))): read_predictions(path)}
        home = keys["scheme"].removeprefix("from_")
        parts.append(score_folds(fold, tables[dataset], train_domain=home).assign(**keys))
    return pd.concat(parts[1:] or parts, ignore_index=True), why


def table2_partial(
    scores: pd.DataFrame,
    published: pd.DataFrame,
    why: dict[tuple[str, ...], str],
    *,
    study: str,
    rows: Card,
) -> pd.DataFrame:
    """Make Table 2 from the scores there are.

    Returns
    -------
    data frame
        The columns of `table2`, and in_found, in_expected, out_found, out_expected: how many
        values (domain pairs x folds) the means are over, and should be; why: what keeps the
        rest away. One line for every dataset and row, its means empty where nothing was found.
    """
    crossed = {name: len(domains) for name, domains in rows["domains"].items() if len(domains) > 1}
    blocks = [(name, *row) for name in crossed for row in map(tuple, rows["order"])]
    table = pd.DataFrame(blocks, columns=KEYS).merge(
        table2(scores, published, study=study, rows=rows), on=KEYS, how="left"
    )
    values = in_or_out(scores).dropna(subset="value")
    index = pd.MultiIndex.from_tuples(blocks, names=KEYS)
    for name, inside in (("in", True), ("out", False)):
        counts = values[values["inside"] == inside].groupby(KEYS).size()
        pairs = [n if inside else n * (n - 1) for n in table["dataset"].map(crossed)]
        table[f"{name}_found"] = counts.reindex(index, fill_value=0).to_numpy()
        table[f"{name}_expected"] = [n * len(rows["folds"]) for n in pairs]
    table["why"] = [why.get(block, "") for block in blocks]
    return table.assign(study=study, synthetic=table["dataset"].isin(rows["synthetic"]))
