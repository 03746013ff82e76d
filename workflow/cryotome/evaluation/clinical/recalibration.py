"""Recalibration of a study's rows: calibration before and after, and the labels that it took."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cryotome.core.cards import Card
from cryotome.core.errors import SplitError
from cryotome.core.files import RunPath, sha256
from cryotome.data.cells import load_cells
from cryotome.evaluation.clinical.recalibrated import (
    BEFORE,
    Estimate,
    Key,
    ScoredPart,
    measure_parts,
)
from cryotome.evaluation.clinical.recalibrators import METHODS, Recalibrator, fit_recalibrator
from cryotome.learners.predictions import read_predictions
from cryotome.study.facts import RowFacts
from cryotome.study.schemes import Scheme

SEED = 42  # of the labelled cells of a target in fold 0; that of other folds is larger by the fold
SETTING = ["dataset", "scheme", "fraction", "where"]
COLUMNS = [*SETTING, "row", "method", "labels_spent", "measure", "value", "low", "high"]
COLUMNS += ["change", "change_low", "change_high", "floor", "labels", "models", "n", "note"]
Setting = tuple[str, str, str, str]
Measured = dict[Key, dict[str, Estimate]]


@dataclass(frozen=True)
class Labelled:
    """Tables of cells by dataset, and the numbers of labelled target cells that are tried.

    Attributes
    ----------
    cells
        Dataset to a frame indexed by id with columns slide, domain.
    hashes
        Dataset to the hash of its table of cells.
    labels
        0 stands for the validation cells; others are drawn where a target did not train.
    """

    cells: dict[str, pd.DataFrame]
    hashes: dict[str, str]
    labels: list[int]


def recalibrate_rows(
    cells: list[Path], predictions: list[Path], labels: list[int], facts: RowFacts
) -> Iterator[tuple[Setting, dict[str, Measured], dict[str, Card]]]:
    """Measure every row before and after recalibration, setting by setting.

    Parameters
    ----------
    cells
        Tables of cells, each named as its dataset.
    predictions
        Their paths carry the keys.
    labels
        Labelled cells of a target domain, as in `Labelled`.

    Yields
    ------
    setting, row to its measures, and row to facts for its lines: labels, models, n
    """
    tables = {path.stem: load_cells(path).set_index("id")[["slide", "domain"]] for path in cells}
    known = Labelled(tables, {path.stem: sha256(path) for path in cells}, labels)
    for (dataset, scheme, fraction), of_rows in _by_setting(predictions).items():
        parts: dict[str, dict[str, list[ScoredPart]]] = {"in": {}, "out": {}}
        for row in [row.key for row in facts.rows if row.key in of_rows]:
            for where, part in (found for path in of_rows[row] for found in read_run(path, known)):
                parts[where].setdefault(row, []).append(part)
        for where, tested in parts.items():
            if tested:
                draws = facts.statistics.draws
                measured = {row: measure_parts(found, draws) for row, found in tested.items()}
                about = {row: _describe(found) for row, found in tested.items()}
                yield (dataset, scheme, fraction, where), measured, about


def _by_setting(predictions: list[Path]) -> dict[tuple[str, str, str], dict[str, list[Path]]]:
    """Sort paths by dataset, scheme (`from_*` pools all domains) and fraction, then by row."""
    found: dict[tuple[str, str, str], dict[str, list[Path]]] = {}
    for path in predictions:
        run = RunPath.of(path)
        setting = (run.dataset, str(Scheme.parse(run.scheme).every), run.fraction)
        found.setdefault(setting, {}).setdefault(run.row, []).append(path)
    return found


def read_run(path: Path, known: Labelled) -> Iterator[tuple[str, ScoredPart]]:
    """Read a model's scores and recalibrate them: `in` or `out`, and the cells of each target.

    The target is every tested cell where all domains train, else the cells of one domain.
    """
    run = RunPath.of(path)
    scheme = Scheme.parse(run.scheme)
    table = read_predictions(path, cells_sha256=known.hashes[run.dataset])
    table = table.join(known.cells[run.dataset], on="id")
    about = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    validation, test = (table[table["role"] == role] for role in ("validation", "test"))
    used = about["n_train"] + len(validation)
    targets = [("", test)] if scheme.is_pooled else list(test.groupby("domain"))
    for domain, cells in targets:
        where = "in" if scheme.is_pooled else scheme.relation(str(domain))
        labels = [n for n in known.labels if where == "out" or not n]
        if len(cells) < 2 * max(labels, default=0):
            raise SplitError(
                f"recalibration.labels: {max(labels)} labelled cells of {domain} leave less than "
                f"half of the {len(cells)} that {path} tests. Ask for fewer."
            )
        yield where, recalibrate_part(cells, validation, labels, fold=run.fold, used=used)


def recalibrate_part(
    tested: pd.DataFrame, validation: pd.DataFrame, labels: list[int], *, fold: int, used: int
) -> ScoredPart:
    """Recalibrate the scores of a model on one target.

    The largest draw of labelled cells is tested by no method, so that all test the same cells;
    smaller draws are its first cells.

    Parameters
    ----------
    tested, validation
        Columns label, score; slide of the tested.
    used
        Labels of training and validation.
    """
    spent = max(labels, default=0)
    order = np.random.default_rng(SEED + fold).permutation(len(tested))
    kept = tested.iloc[np.sort(order[spent:])]
    score = kept["score"].to_numpy()
    maps: dict[Key, Recalibrator | None] = {}
    for count in labels:
        drawn = tested.iloc[order[:count]] if count else validation
        label, said = drawn["label"].to_numpy(), drawn["score"].to_numpy()
        maps |= {(method, count): fit_recalibrator(method, label, said) for method in METHODS}
    scores = {key: found.apply(score) if found else score for key, found in maps.items()}
    columns = kept["label"].to_numpy(), kept["slide"].to_numpy(str)
    return ScoredPart(*columns, {BEFORE: score} | scores, maps, used)


def _describe(parts: list[ScoredPart]) -> Card:
    """Return the labels of training and validation, models and cells, and notes by method."""
    notes = {}
    for key in parts[0].scores:
        maps = [part.maps[key] for part in parts] if key != BEFORE else []
        left = sum(found is None for found in maps)
        turned = sum(found is not None and found.slope < 0 for found in maps)
        said = [f"left as scored in {left} of {len(parts)}: labels of one class"] * bool(left)
        said += [f"slope below 0 in {turned} of {len(parts)}"] * bool(turned)
        notes[key] = "; ".join(said)
    labels = float(np.mean([part.used for part in parts]))
    cells = sum(len(part.label) for part in parts)
    return {"labels": labels, "models": len(parts), "n": cells, "notes": notes}


def recalibration_lines(
    setting: Setting, measured: dict[str, Measured], about: dict[str, Card]
) -> pd.DataFrame:
    """Return the lines of a setting: every row, method, number of labels and measure.

    Returns
    -------
    data frame with `COLUMNS`; `change`: less the same measure before; `floor`: the calibration
    error that perfect calibration would show on as many cells; `labels`: of training, validation
    and target, mean over models; `models`: fold, and target where one domain trains
    """
    lines = []
    place = dict(zip(SETTING, setting, strict=True))
    for row, of_row in measured.items():
        facts = about[row]
        for (method, spent), found in of_row.items():
            named = place | {"row": row, "method": method, "labels_spent": spent}
            named |= {"labels": facts["labels"] + spent, "note": facts["notes"][method, spent]}
            named |= {"models": facts["models"], "n": facts["n"]}
            for measure, estimate in found.items():
                ends = dict(zip(("low", "high"), estimate.interval, strict=True))
                line = named | {"measure": measure, "value": estimate.value} | ends
                line["floor"] = estimate.floor
                if method != BEFORE[0]:
                    line |= estimate.change_from(of_row[BEFORE][measure])
                lines.append(line)
    return pd.DataFrame(lines, columns=COLUMNS).astype({"fraction": float})
