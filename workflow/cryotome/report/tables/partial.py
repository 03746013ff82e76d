"""Partial tables of both papers after failed jobs: the values there are, and why others are not."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from cryotome.core.errors import StoreError
from cryotome.core.files import RunPath, sha256
from cryotome.data.cells import load_cells
from cryotome.evaluation.measured import read_summaries
from cryotome.evaluation.published import compare_with_published
from cryotome.evaluation.scores import measure_auroc, score_folds
from cryotome.learners.predictions import read_predictions, split_path
from cryotome.report.tables.ganz2024 import KEYS, domain_relation, join_published, table2
from cryotome.report.tables.roth2024 import table_of_rows
from cryotome.runtime.failures import Failure
from cryotome.study.facts import RothFacts, RowFacts
from cryotome.study.row import LAST
from cryotome.study.schemes import Scheme

COLUMNS = [*KEYS, "scheme", "train_domain", "test_domain", "fold", "value"]
# rules on the way to the predictions of Table 2 of Ganz et al. 2024, and to the scores of patches
# and slides of Roth et al. 2024; failures of other rules explain nothing
RULES = {
    "predictions": [
        *("make_demo", "read_cells", "cut_patches", "audit", "split_cells", "embed"),
        *("probe", "probe_whole", "train_endtoend"),
    ],
    "patches": [
        *("make_demo_tissue", "finetune_dinov2", "read_cells", "cut_patches", "embed"),
        *("split_predefined", "classify_patches", "score_patches"),
    ],
    "slides": [
        *("make_demo_cohort", "finetune_dinov2", "tile_slide", "embed_slide", "read_cohort"),
        *("split_patients", "train_mil", "score_patients"),
    ],
}
ROW_WILDCARDS = ("view", "model", "head", "finetune")
MAX_REASONS = 3  # listed for one row
RowKey = tuple[str, ...]  # dataset, model, head


def _reasons(failed: Iterable[Failure]) -> list[str]:
    """Return the rule and the one-line reason of each failure, each text once."""
    return list(dict.fromkeys(f"{f.rule}: {' '.join(f.why.split())}" for f in failed))


def _wildcards(path: Path) -> dict[str, str]:
    """Return the wildcards of the jobs on the way to a file of predictions."""
    keys = {name: str(value) for name, value in asdict(RunPath.of(path)).items()}
    return keys | {"head": keys["head"].removesuffix(LAST)}


def _why_unusable(path: Path, cells_sha256: str, failed: list[Failure]) -> str:
    """Return why a file of predictions is missing or out of date; empty where it is neither."""
    keys, stale = _wildcards(path), ""
    about = path.with_suffix(".json")
    made = path.exists() and about.exists()
    if made:
        notes = json.loads(about.read_text(encoding="utf-8"))
        split = split_path(path)
        same_split = split.exists() and sha256(split) == notes["split_sha256"]
        if notes["cells_sha256"] != cells_sha256 or not same_split:
            stale = f"{path} was made from other cells or another split: run the study again"
    # a record is kept until its job succeeds, so files made from that job's output are older
    reasons = _reasons(f for f in failed if f.rule in RULES["predictions"] and f.matches(keys))
    if made and not reasons:
        return stale
    return "; ".join(reasons) or f"not run yet: snakemake --cores 8 {path}"


def available_values(
    predictions: list[Path], cells: dict[str, Path], failed: list[Failure]
) -> tuple[pd.DataFrame, dict[RowKey, str]]:
    """Score the predictions that exist and were made from the present cells.

    Parameters
    ----------
    predictions
        All that a study asks for, whether they exist or not.
    cells
        Dataset to its table of cells, which need not exist either.
    failed
        Records of failed jobs.

    Returns
    -------
    scores
        As of `ganz2024.read_scores`.
    why
        (dataset, model, head) to why its values are missing; only where some are.
    """
    tables = {name: load_cells(path) for name, path in cells.items() if path.exists()}
    hashes = {name: sha256(cells[name]) for name in tables}
    parts = [pd.DataFrame(columns=COLUMNS)]
    why: dict[RowKey, list[str]] = {}
    for path in predictions:
        keys = _wildcards(path) | {"head": RunPath.of(path).head}
        missing = _why_unusable(path, hashes.get(keys["dataset"], ""), failed)
        if not missing:
            try:
                parts.append(_score(path, keys, tables[keys["dataset"]]))
            except StoreError as error:
                missing = str(error)
        if missing:
            why.setdefault(tuple(keys[name] for name in KEYS), []).append(missing)
    reasons = {row: "; ".join(list(dict.fromkeys(all_))[:MAX_REASONS]) for row, all_ in why.items()}
    return pd.concat(parts[1:] or parts, ignore_index=True), reasons


def _score(path: Path, keys: dict[str, str], cells: pd.DataFrame) -> pd.DataFrame:
    fold = {(keys["fraction"], int(keys["fold"])): read_predictions(path)}
    home = Scheme.parse(keys["scheme"]).domain
    scored = score_folds(fold, cells, train_domain=home, measure=measure_auroc)
    names = {name: value for name, value in keys.items() if name not in ("fraction", "fold")}
    return scored.assign(**names)


def table2_partial(
    scores: pd.DataFrame, published: pd.DataFrame, why: dict[RowKey, str], facts: RowFacts
) -> pd.DataFrame:
    """Make Table 2 of Ganz et al. 2024 from the scores there are.

    Returns
    -------
    data frame
        The columns of `table2`, and in_found, in_expected, out_found, out_expected: how many
        values (domain pairs x folds) the means are over, and should be; why: why the others are
        missing. One line for every dataset and row, its means empty where no value was found.
    """
    homes = {name: len(domains) for name, domains in facts.homes.items() if domains}
    keys = [(name, row.model, row.head) for name in homes for row in facts.rows]
    printed = join_published(pd.DataFrame(keys, columns=KEYS), published)
    measured = table2(scores, published, facts)
    table = measured[[*KEYS, "in_mean", "in_sd", "out_mean", "out_sd"]]
    table = printed.merge(table, on=KEYS, how="left").reindex(columns=measured.columns)
    values = domain_relation(scores).dropna(subset="value")
    index = pd.MultiIndex.from_tuples(keys, names=KEYS)
    trained = table["dataset"].map(homes) * len(facts.folds)
    others = table["dataset"].map({name: len(d) - 1 for name, d in facts.domains.items()})
    for name, inside in (("in", True), ("out", False)):
        counts = values[values["inside"] == inside].groupby(KEYS).size()
        table[f"{name}_found"] = counts.reindex(index, fill_value=0).to_numpy()
        table[f"{name}_expected"] = trained if inside else trained * others
    table["why"] = [why.get(key, "") for key in keys]
    return table.assign(study=facts.study, synthetic=table["dataset"].isin(facts.synthetic))


def missing_reason(row: dict[str, str], kind: str, failed: list[Failure]) -> str:
    """Return which failed jobs keep a row of Roth et al. 2024 from having scores.

    Parameters
    ----------
    row
        `view`, `model`, `head`, and `finetune` where the encoder is finetuned here.
    kind
        `patches` or `slides`.
    """
    mine = (
        f
        for f in failed
        if f.rule in RULES[kind]
        and all(row.get(name) == v for name, v in f.wildcards.items() if name in ROW_WILDCARDS)
    )
    return "; ".join(_reasons(mine)[:MAX_REASONS])


def table_of_rows_partial(
    scores: list[Path], published: pd.DataFrame, kind: str, failed: list[Failure], facts: RothFacts
) -> pd.DataFrame:
    """Make Table 1 (slides) or 2 (patches) of Roth et al. 2024 from the score files that exist.

    Parameters
    ----------
    scores
        All that the study asks for, whether they exist or not.

    Returns
    -------
    data frame
        As of `table_of_rows`, and `why`: why a row is missing, empty where it is not.
    """
    found = [path for path in scores if path.exists()]
    measured = read_summaries(found)
    verdicts = compare_with_published(published, measured, facts)
    table = table_of_rows(measured, verdicts, kind, facts)
    there = {(path.parent.name, path.stem) for path in found}
    why = []
    for row in facts.rows_of[kind]:
        wildcards = vars(row) | {"finetune": facts.finetuned.get(row.model, "")}
        missing = (f"model={row.model}", f"head={row.head}") not in there
        why.append(missing * (missing_reason(wildcards, kind, failed) or "not run yet"))
    return table.assign(why=why)
