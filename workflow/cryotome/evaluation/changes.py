"""Changes of rows between two states of a study: what moved, beyond the draw of slides or not."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import kendalltau

from cryotome.core.files import sha256
from cryotome.core.tables import read_csv
from cryotome.data.cells import load_cells
from cryotome.evaluation.history import HASHES, Key, Line, kept_file
from cryotome.evaluation.statistics.fold_tests import quantiles
from cryotome.evaluation.statistics.paired_scores import split_into_parts
from cryotome.evaluation.statistics.slide_pairs import (
    SortedCells,
    WinMatrix,
    bootstrap_auroc,
    count_wins,
    resample_slides_in_chunks,
)
from cryotome.study.row import Row
from cryotome.study.schemes import Scheme

SETTING = ["dataset", "scheme", "fraction", "tested"]
COLUMNS = [*SETTING, "row", "before", "after", "difference", "low", "high", "verdict", "changed"]
MOVED, WITHIN, UNKNOWN = "moved", "within the draw of slides", "cannot tell"
DRAWS = 2000  # of slides
ORIGIN = [*HASHES, "recipe", "view"]  # fields whose change is named as it is
Part = WinMatrix | SortedCells


@dataclass(frozen=True)
class State:
    """The rows of a study at one time.

    Attributes
    ----------
    results
        The folder that holds `history`, and predictions and cells as they are now.
    lines
        Of the history, by dataset, scheme, fraction, tested and row.
    """

    results: Path
    lines: dict[Key, Line]


def state_of(results: Path, lines: dict[Key, Line]) -> State:
    """Return a state from lines of one study; the name of the study is no part of its keys."""
    return State(results, {key[1:]: line for key, line in lines.items()})


def compare_states(a: State, b: State, draws: int = DRAWS) -> pd.DataFrame:
    """Compare the rows that both states have and that are not equal in numbers and predictions.

    Parameters
    ----------
    draws
        Draws of slides, the same for both states. A slide counts as often in both, also where
        the two test other cells of it.

    Returns
    -------
    data frame with columns dataset, scheme, fraction, tested, row, before, after (AUROC),
    difference, low, high (95 % interval of the paired bootstrap; NaN where predictions are not
    kept), verdict (`moved`: the interval leaves out 0), changed (what is another one by now);
    empty where nothing changed
    """
    lines = []
    for key in [key for key in b.lines if key in a.lines]:
        before, after = a.lines[key], b.lines[key]
        if all(before[name] == after[name] for name in ("auroc", "predictions")):
            continue
        numbers = [np.nan if one["auroc"] is None else one["auroc"] for one in (before, after)]
        low, high = _paired_interval((a, before), (b, after), draws)
        verdict = (
            MOVED if low > 0 or high < 0 else WITHIN if np.isfinite([low, high]).all() else UNKNOWN
        )
        values = (*numbers, numbers[1] - numbers[0], low, high, verdict)
        lines.append((*key, *values, ", ".join(changed_origin(before, after))))
    return pd.DataFrame(lines, columns=COLUMNS)


def changed_origin(before: Line, after: Line) -> list[str]:
    """Return what the numbers came from that is another one by now, packages by name."""
    fields = [name for name in ORIGIN if before.get(name) != after.get(name)]
    packages = set(after.get("versions", [])) - set(before.get("versions", []))
    commits = (line.get("commit") for line in (before, after))
    fields += [f"commit {str(after['commit'])[:12]}"] * (next(commits) != next(commits))
    return [*fields, *sorted(packages)]


def concordance(a: State, b: State) -> pd.DataFrame:
    """Return Kendall's tau of the order of rows in both states, for each set of test cells.

    Returns
    -------
    data frame with columns dataset, scheme, fraction, tested, rows, tau; settings of three rows
    or more that both have
    """
    both = [key for key in b.lines if key in a.lines]
    values = [(*key, a.lines[key]["auroc"], b.lines[key]["auroc"]) for key in both]
    table = pd.DataFrame(values, columns=[*SETTING, "row", "before", "after"])
    table = table.dropna(subset=["before", "after"])
    lines = [
        (*setting, len(part), kendalltau(part["before"], part["after"]).statistic)
        for setting, part in table.groupby(SETTING, sort=False)
        if len(part) > 2
    ]
    return pd.DataFrame(lines, columns=[*SETTING, "rows", "tau"])


def _paired_interval(
    one: tuple[State, Line], other: tuple[State, Line], draws: int
) -> tuple[float, float]:
    """Return the interval of after minus before over draws of slides; NaN without predictions."""
    parts = [_parts_of(*each) for each in (one, other)]
    if not all(parts):
        return np.nan, np.nan
    slides = np.unique(np.concatenate([part.slides for some in parts for part in some]))
    counts = list(resample_slides_in_chunks(len(slides), draws=draws, seed=0))
    before, after = (bootstrap_auroc(some, slides, counts) for some in parts)
    return quantiles(after - before)


def _parts_of(state: State, line: Line) -> list[Part]:
    """Return the won pairs of each part of a row's test cells.

    None where a file is not kept, and of schemes by scanner, which the dataset's card tells.
    """
    if Scheme.parse(line["scheme"]).is_by_scanner:
        return []
    cells = _file(line["cells"], state, Path("cells", f"{line['dataset']}.csv"))
    files = {place: _file(digest, state, _path(line, place))
             for place, digest in line["predictions"].items()}  # fmt: skip
    if cells is None or None in files.values():
        return []
    of_cell = load_cells(cells).set_index("id")[["slide", "domain"]]
    return [part for place, path in files.items() for part in _wins(line, place, path, of_cell)]


def _path(line: Line, place: str) -> Path:
    scheme, fold = place.split("/")
    row = Row.parse(line["row"])
    way = f"view={line['view']}", f"model={row.model}", f"head={row.head}"
    share = f"fraction={line['fraction']}"
    return Path("predictions", line["dataset"], scheme, *way, share, f"fold={fold}.csv")


def _file(digest: str, state: State, place: Path) -> Path | None:
    """Return the table of this sha256: kept beside the history, or where it was made."""
    paths = kept_file(state.results, digest), state.results / place
    return next((path for path in paths if path.exists() and sha256(path) == digest), None)


def _wins(line: Line, place: str, path: Any, of_cell: pd.DataFrame) -> Iterator[Part]:
    """Yield the won pairs of the parts of one file that the line's number is a mean over."""
    table = read_csv(path)
    test = table[table["role"] == "test"].join(of_cell, on="id")
    many = of_cell["domain"].nunique() > 1
    for scheme, tested, part in split_into_parts(place.split("/")[0], test, many):
        if (scheme, tested) == (line["scheme"], line["tested"]):
            yield count_wins(*(part[name].to_numpy() for name in ("slide", "label", "score")))
