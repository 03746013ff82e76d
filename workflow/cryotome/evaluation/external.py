"""External cohorts: the models of every fold, scored on the cells of another dataset.

Every fold has a model of its own and all are tested on the same cells. Intervals are over the
slides of the external dataset, tests pair its slides, and the drop from in domain joins the errors
of two sets of slides that have none in common.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from cryotome.core.cards import Card
from cryotome.core.errors import StoreError
from cryotome.core.files import RunPath, sha256
from cryotome.data.cells import load_cells
from cryotome.evaluation.statistics.clustered_auroc import (
    Influence,
    auroc_interval,
    difference_interval,
)
from cryotome.evaluation.statistics.comparisons import compare_row, holm
from cryotome.evaluation.statistics.paired_scores import CELL_COLUMNS, PairedScores, Setting
from cryotome.evaluation.statistics.rows import Rows
from cryotome.learners.predictions import read_applied
from cryotome.study.facts import RowFacts

KEYS = ["dataset", "scheme", "fraction", "external", "row"]
COLUMNS = [*KEYS, "folds", "n", "left_out", "slides", "auroc", "low", "high"]
COLUMNS += ["inside", "inside_low", "inside_high", "drop", "drop_low", "drop_high"]
COLUMNS += ["reference", "difference", "difference_low", "difference_high"]
COLUMNS += ["p_slides", "p_slides_holm", "verdict", "note"]
Pair = tuple[str, str]  # dataset, external dataset
External = tuple[str, str, str]  # dataset, scheme, external dataset


def external_pairs(predictions: list[Path]) -> list[Pair]:
    """Return the datasets that trained and were tested, once each, from paths of scores."""
    return list(dict.fromkeys((path.parents[5].name, path.parents[6].name) for path in predictions))


def load_external(
    predictions: list[Path],
    cells: list[Path],
    left_out: dict[Pair, set[int]],
    calibration: pd.DataFrame,
    facts: RowFacts,
) -> dict[External, Rows]:
    """Sort the scores of external cells by what trained and what was tested.

    Parameters
    ----------
    predictions
        Scores by the model of a fold; their paths carry the keys.
    cells
        Tables of cells, each named as its dataset.
    left_out
        Dataset and external dataset to the cells that are not tested: those that both have.
    calibration
        Of `prepare_rows`.

    Raises
    ------
    StoreError
        A file was edited, or two rows were not scored on the same cells.
    """
    slides = {path.stem: load_cells(path).set_index("id")[["slide"]] for path in cells}
    hashes = {path.stem: sha256(path) for path in cells}
    found: dict[External, PairedScores] = {}
    for path in predictions:
        run, (dataset, external) = RunPath.of(path), external_pairs([path])[0]
        table, _about = read_applied(path, cells_sha256=hashes[external])
        table = table[~table["id"].isin(left_out[dataset, external])]
        table = table.join(slides[external], on="id").reset_index(drop=True)
        scores = found.setdefault((dataset, run.scheme, external), PairedScores())
        scores.schemes.add(run.scheme)
        if run.fold not in scores.folds:
            scores.folds.append(run.fold)
            scores.parts.append(table[CELL_COLUMNS].copy())
        part = scores.parts[scores.folds.index(run.fold)]
        if not np.array_equal(part["id"], table["id"]):
            raise StoreError(
                f"{path} was not scored on the cells of the other rows. Delete it and rerun."
            )
        part[run.row] = table["score"]
    draws, unknown = facts.statistics.draws, facts.unknown_slides
    return {
        key: Rows(one, draws=draws, calibration=calibration, unknown=key[2] in unknown)
        for key, one in found.items()
    }


def drop_between(inside: Influence, outside: Influence) -> tuple[float, float, float]:
    """Return what an AUROC loses from one set of slides to another, with its 95 % interval.

    The sets have no slide in common, so that their variances add; the models are as trained.
    """
    error = float(np.hypot(inside.error, outside.error))
    freedom = min(inside.freedom, outside.freedom)
    value = inside.auroc - outside.auroc
    return value, *difference_interval(value, error, freedom=freedom)


def external_table(
    outside: dict[External, Rows],
    inside: dict[Setting, Rows],
    left_out: dict[Pair, set[int]],
    facts: RowFacts,
) -> pd.DataFrame:
    """Measure every row on every external dataset, beside the same row in domain.

    Parameters
    ----------
    outside, inside
        Rows on external cells, and on the test cells of the training's dataset.
    left_out
        The cells that were not tested, for their number.

    Returns
    -------
    data frame with `COLUMNS`; `n`: external cells; `inside`: AUROC on the test cells of the
    training's dataset, all domains together; `drop`: that less the external one; `difference`:
    reference minus row, slides paired
    """
    lines: list[Card] = []
    for (dataset, scheme, external), rows in outside.items():
        fraction = max((key[2] for key in inside if key[:2] == (dataset, scheme)), key=float)
        home = inside[dataset, scheme, fraction, "all"]
        rows.scores.training_cells |= home.scores.training_cells
        about: Card = {"dataset": dataset, "scheme": scheme, "fraction": float(fraction)}
        about |= {"external": external, "folds": len(rows.scores.folds)}
        about |= {"n": len(rows.scores.parts[0]), "left_out": len(left_out[dataset, external])}
        about["slides"] = None if rows.slides_unknown else len(rows.slides)
        for row, found in rows.influences.items():
            line = about | {"row": row} | _interval(found, "auroc", "low", "high")
            line |= _interval(home.influences[row], "inside", "inside_low", "inside_high")
            drop = drop_between(home.influences[row], found)
            line |= dict(zip(("drop", "drop_low", "drop_high"), drop, strict=True))
            lines.append(line | _against_reference(rows, row, fraction, facts))
    table = pd.DataFrame(lines, columns=COLUMNS)
    blocks = table.groupby(["dataset", "scheme", "external"])["p_slides"]
    return table.assign(p_slides_holm=blocks.transform(holm))


def _against_reference(rows: Rows, row: str, fraction: str, facts: RowFacts) -> Card:
    note = rows.note(row, facts.statistics.alpha)
    if row == facts.reference or facts.reference not in rows.scores.rows:
        return {"note": note}
    found = compare_row(rows, row, facts.reference, facts.statistics, fraction)
    kept = {name: found[name] for name in ("difference", "p_slides", "verdict")}
    kept |= {f"difference_{end}": found[end] for end in ("low", "high")}
    notes = "; ".join(filter(None, [note, found["note"]]))
    return kept | {"reference": facts.reference, "note": notes}


def _interval(found: Influence, *names: str) -> Card:
    ends = auroc_interval(found.auroc, found.error, freedom=found.freedom)
    return dict(zip(names, (found.auroc, *ends), strict=True))
