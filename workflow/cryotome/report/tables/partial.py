"""Table 2 from whatever there is, and why the rest is missing."""

import json
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from cryotome.core.cards import Card
from cryotome.core.errors import StoreError
from cryotome.core.files import RunPath, sha256
from cryotome.data.cells import load_cells
from cryotome.evaluation.scores import measure_auroc, score_folds
from cryotome.learners.predictions import read_predictions, split_of
from cryotome.report.tables.ganz2024 import KEYS, domain_relation, join_published, table2
from cryotome.runtime.failures import Failure
from cryotome.study.row import LAST
from cryotome.study.schemes import Scheme

COLUMNS = [*KEYS, "scheme", "train_domain", "test_domain", "fold", "value"]
# the rules on the way to a file of predictions; the failure of any other explains nothing
ON_THE_WAY = ["make_demo", "read_cells", "cut_patches", "audit", "split", "embed"]
ON_THE_WAY += ["probe", "probe_whole", "train_endtoend"]
REASONS = 3  # that one row lists


def _keys(path: Path) -> dict[str, str]:
    """Return what a path of predictions says, as the wildcards of the jobs on the way to it."""
    keys = {name: str(value) for name, value in asdict(RunPath.of(path)).items()}
    return keys | {"head": keys["head"].removesuffix(LAST)}


def _why_unusable(path: Path, cells_sha256: str, failed: list[Failure]) -> str:
    """Say why a file of predictions is missing or out of date; nothing where it is neither."""
    keys, stale = _keys(path), ""
    about = path.with_suffix(".json")
    made = path.exists() and about.exists()
    if made:
        said = json.loads(about.read_text(encoding="utf-8"))
        split = split_of(path)
        known = split.exists() and sha256(split) == said["split_sha256"]
        if said["cells_sha256"] != cells_sha256 or not known:
            stale = f"{path} was made from other cells or another split: run the study again"
    on_the_way = [f for f in failed if f.rule in ON_THE_WAY and f.matches(keys)]
    # a record lies there until its job succeeds: whatever was made below it is of before
    reasons = {f.why: f.rule for f in on_the_way}
    if made and not reasons:
        return stale
    said_so = [f"{rule}: {' '.join(why.split())}" for why, rule in reasons.items()]
    return "; ".join(said_so) or f"not run yet: snakemake --cores 8 {path}"


def available_values(
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
    tables = {name: load_cells(path) for name, path in cells.items() if path.exists()}
    hashes = {name: sha256(cells[name]) for name in tables}
    parts = [pd.DataFrame(columns=COLUMNS)]
    why: dict[tuple[str, ...], list[str]] = {}
    for path in predictions:
        keys = _keys(path) | {"head": RunPath.of(path).head}
        dataset = keys["dataset"]
        missing = _why_unusable(path, hashes.get(dataset, ""), failed)
        if missing:
            why.setdefault(tuple(keys[name] for name in KEYS), []).append(missing)
            continue
        try:
            table = read_predictions(path)
        except StoreError as error:
            why.setdefault(tuple(keys[name] for name in KEYS), []).append(str(error))
            continue
        fold = {(keys.pop("fraction"), int(keys.pop("fold"))): table}
        home = Scheme.parse(keys["scheme"]).domain
        scored = score_folds(fold, tables[dataset], train_domain=home, measure=measure_auroc)
        parts.append(scored.assign(**keys))
    said = {row: "; ".join(list(dict.fromkeys(all_))[:REASONS]) for row, all_ in why.items()}
    return pd.concat(parts[1:] or parts, ignore_index=True), said


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
    homes = {name: len(domains) for name, domains in rows["homes"].items() if domains}
    blocks = [(name, *row) for name in homes for row in map(tuple, rows["order"])]
    printed = join_published(pd.DataFrame(blocks, columns=KEYS), published)
    measured = table2(scores, published, study=study, rows=rows)
    table = measured[[*KEYS, "in_mean", "in_sd", "out_mean", "out_sd"]]
    table = printed.merge(table, on=KEYS, how="left").reindex(columns=measured.columns)
    values = domain_relation(scores).dropna(subset="value")
    index = pd.MultiIndex.from_tuples(blocks, names=KEYS)
    trained = table["dataset"].map(homes) * len(rows["folds"])
    others = table["dataset"].map({name: len(d) - 1 for name, d in rows["domains"].items()})
    for name, inside in (("in", True), ("out", False)):
        counts = values[values["inside"] == inside].groupby(KEYS).size()
        table[f"{name}_found"] = counts.reindex(index, fill_value=0).to_numpy()
        table[f"{name}_expected"] = trained if inside else trained * others
    table["why"] = [why.get(block, "") for block in blocks]
    return table.assign(study=study, synthetic=table["dataset"].isin(rows["synthetic"]))
