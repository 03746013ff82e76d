"""The error atlas in numbers: every tested cell, what each row says of it, where rows err."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from cryotome.core.cards import Card
from cryotome.core.errors import StoreError
from cryotome.core.files import RunPath
from cryotome.data.cells import assign_scanners
from cryotome.data.overlap import pixel_boxes, sharing_pairs
from cryotome.evaluation.scores import THRESHOLD
from cryotome.learners.predictions import read_predictions
from cryotome.study.schemes import Scheme
from cryotome.study.statistical_unit import is_unknown

DIGITS = 6  # of scores as they are written
EXACT = 12  # digits of a mean over folds; more would part what ties, as 9, 10 and 11 of 20 votes
SPOKEN = {
    "from_*": "trainings on one other domain each",
    "except_*": "trainings on all other domains",
}


@dataclass(frozen=True)
class Atlas:
    """The tested cells of one dataset and what every row says of them.

    Attributes
    ----------
    cells : data frame indexed by id
        Columns image, slide (empty where not known), x, y (level-0 px), domain, scanner, label,
        holds_figure, and folds: how many models' scores of the cell were averaged.
    scores : data frame indexed likewise, a column per row
        Mean score of the second class, 0 to 1; NaN where a row did not score a cell.
    card
        Of the dataset: `title`, `classes`, `domains`, and `scanners`, `synthetic` if it has them.
    labels
        Row to its name for people.
    scheme, fraction
        What the scores are from; `from_*` stands for all domains, tested out of domain.
    trainings
        Models a row has under them.
    """

    dataset: str
    cells: pd.DataFrame
    scores: pd.DataFrame
    card: Card
    labels: dict[str, str]
    scheme: str
    fraction: str
    trainings: int

    @property
    def classes(self) -> list[str]:
        """Names of the two classes in label order."""
        return [entry["name"] for entry in self.card["classes"]]

    @property
    def rows(self) -> list[str]:
        """The rows, model + head, in table order."""
        return [str(row) for row in self.scores]

    @property
    def notice(self) -> str:
        """That the tissue is synthetic, empty where it is not."""
        return str(self.card.get("synthetic", ""))

    @property
    def judged(self) -> str:
        """Say what the scores are the mean of."""
        what = SPOKEN.get(self.scheme.removesuffix("_matched"), "test folds")
        few, many = self.cells["folds"].min(), self.cells["folds"].max()
        count = f"{many}" if few == many else f"{few} to {many}"
        return (
            f"score of {self.classes[1]}: mean over {count} of {self.trainings} {what}; "
            f"scheme {self.scheme}, training fraction {self.fraction}"
        )

    @cached_property
    def errors(self) -> pd.DataFrame:
        """1 where a row calls a cell of the first class the second, -1 the other way, else 0."""
        return find_errors(self.scores, self.cells["label"])

    @cached_property
    def disagreement(self) -> pd.Series:
        """How much the rows disagree on each cell."""
        return disagreement(self.scores)

    def table(self) -> pd.DataFrame:
        """Return a line a cell: what is known of it, and the score of every row."""
        columns = ["slide", "image", "x", "y", "domain", "scanner", "label", "holds_figure"]
        scores = self.scores.round(DIGITS).add_prefix("score ")
        known = self.cells[columns].assign(disagreement=self.disagreement.round(DIGITS))
        known = known.assign(scheme=self.scheme, fraction=self.fraction, folds=self.cells["folds"])
        return known.join(scores).reset_index()

    def stamped(self, table: pd.DataFrame) -> pd.DataFrame:
        """Add dataset in front, and scheme, fraction and the number of trainings at the end."""
        table = table.assign(scheme=self.scheme, fraction=self.fraction, folds=self.trainings)
        table.insert(0, "dataset", self.dataset)
        return table


def read_atlas(
    cells: pd.DataFrame, windows: pd.DataFrame, predictions: list[Path], card: Card, about: Card
) -> Atlas:
    """Gather what the rows of a study say of a dataset's tested cells.

    Parameters
    ----------
    cells, windows
        Tables of the dataset, as `load_cells` and `load_windows` read them.
    predictions
        Files of one kind of scheme and one fraction; rows may be absent.
    about
        `dataset`; `labels`: row to its name for people, in table order; `cells_sha256`.

    Raises
    ------
    StoreError
        The predictions were made from other cells, or none of them tests a cell.
    """
    runs = list(map(RunPath.of, predictions))
    known = cells.set_index("id").assign(**({"slide": ""} if is_unknown(card) else {}))
    scores, folds = load_scores(predictions, known["domain"], about["cells_sha256"])
    scores = scores[[row for row in about["labels"] if row in scores]]
    found = {
        "scanner": assign_scanners(cells, card),
        "holds_figure": contains_mitosis(cells, windows),
    }
    tested = known.assign(**{name: column.to_numpy() for name, column in found.items()})
    return Atlas(
        dataset=about["dataset"],
        cells=tested.loc[scores.index].assign(folds=folds),
        scores=scores,
        card=card,
        labels=about["labels"],
        scheme=str(Scheme.parse(runs[0].scheme).every),
        fraction=runs[0].fraction,
        trainings=len({(run.scheme, run.fold) for run in runs}),
    )


def load_scores(
    predictions: list[Path], domain: pd.Series, cells_sha256: str
) -> tuple[pd.DataFrame, pd.Series]:
    """Average the test scores of each cell over the folds that test it.

    Of schemes that train on one domain, the cells of that domain are left out.

    Parameters
    ----------
    domain
        Of each cell, indexed by id.
    cells_sha256
        Of the table of cells that the predictions must be of.

    Returns
    -------
    scores : data frame indexed by id, sorted, a column per row
        Cells that no row tests are absent.
    folds : series indexed likewise
        How many scores were averaged, of the row that has most.

    Raises
    ------
    StoreError
        A file is damaged or of other cells, or none of them tests a cell.
    """
    parts: dict[str, list[pd.DataFrame]] = {}
    for path in predictions:
        table = read_predictions(path, cells_sha256=cells_sha256)
        table = table.loc[table["role"] == "test", ["id", "score"]]
        run = RunPath.of(path)
        scheme = Scheme.parse(run.scheme)
        if scheme.is_cross_domain:
            table = table[table["id"].map(domain).to_numpy() != scheme.domain]
        parts.setdefault(run.row, []).append(table)
    grouped = {row: pd.concat(tables).groupby("id")["score"] for row, tables in parts.items()}
    scores = pd.DataFrame({row: group.mean().round(EXACT) for row, group in grouped.items()})
    scores = scores.sort_index()
    if scores.empty:
        raise StoreError(
            f"None of {len(predictions)} files of predictions tests a cell, first "
            f"{[*predictions, 'none'][0]}. Delete them and rerun."
        )
    folds = pd.DataFrame({row: group.size() for row, group in grouped.items()}).max(axis=1)
    return scores, folds.astype(int).sort_index()


def contains_mitosis(cells: pd.DataFrame, windows: pd.DataFrame) -> pd.Series:
    """Say of which cells of the first class the seen window holds the centre of one of the second.

    Such a look-alike is shown to a network together with a mitotic figure.

    Parameters
    ----------
    cells
        All cells of the dataset, tested or not: columns id, x, y, label.
    windows
        Columns id, left, top, side, margin, place, level-0 px.

    Returns
    -------
    series of bool, indexed as `cells`
    """
    placed = cells[["id", "x", "y", "label"]].merge(windows, on="id", how="left")
    first, second = (placed[placed["label"] == n] for n in (0, 1))
    seen = pixel_boxes(first, stored=False)
    centre = second[["x", "y"]].to_numpy(float)
    points = np.concatenate([np.floor(centre), np.floor(centre) + 1], axis=1)
    i, j = sharing_pairs(seen, points, places=(first["place"], second["place"])).T
    near = first[["left", "top"]].to_numpy()[i]
    inside = (centre[j] >= near) & (centre[j] < near + first[["side"]].to_numpy()[i])
    holders = first["id"].to_numpy()[i[inside.all(axis=1)]]
    return cells["id"].isin(holders)


def disagreement(scores: pd.DataFrame) -> pd.Series:
    """Return the SD of the rows' scores of each cell: 0 all alike, 0.5 half 0 and half 1.

    NaN where fewer than two rows scored it.
    """
    return scores.std(axis=1, ddof=0).where(scores.notna().sum(axis=1) > 1)


def find_errors(scores: pd.DataFrame, label: pd.Series) -> pd.DataFrame:
    """Return 1 for each false positive, -1 for each false negative, else 0, (cells, rows) int.

    A row errs where its call, the second class above 0.5, is not the label; where it has no
    score it does not.
    """
    called = (scores >= THRESHOLD).astype(int)
    return called.sub(label, axis=0).where(scores.notna(), 0).astype(int)


def most_confident(scores: pd.Series, errors: pd.Series, sign: int, count: int) -> list[int]:
    """Return the ids of a row's most confident errors, of equal ones the first.

    Parameters
    ----------
    sign
        1 for false positives, the highest score first; -1 for false negatives, the lowest first.
    """
    wrong = scores[errors == sign].sort_index()
    return [int(id_) for id_ in (-sign * wrong).sort_values(kind="stable").index[:count]]
