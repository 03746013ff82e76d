"""The error atlas in numbers: every tested cell, its score by each row, and each row's errors."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from cryotome.core.cards import Card
from cryotome.core.errors import StoreError
from cryotome.core.files import RunPath
from cryotome.data.domains import assign_scanners
from cryotome.data.overlap import pixel_boxes, sharing_pairs
from cryotome.data.raters import vote_columns, votes_of
from cryotome.evaluation.scores import THRESHOLD
from cryotome.learners.predictions import read_predictions
from cryotome.study.schemes import Scheme
from cryotome.study.statistical_unit import is_unknown

SCORE_DIGITS = 6  # decimals of written scores
MEAN_DIGITS = 12  # decimals of a mean over folds; more would break ties, as of 9, 10 and 11 / 20
SCHEME_PHRASES = {
    "from_*": "trainings on one other domain each",
    "except_*": "trainings on all other domains",
}


@dataclass(frozen=True)
class Atlas:
    """The tested cells of one dataset and their scores by every row.

    Attributes
    ----------
    cells : data frame indexed by id
        Columns image, slide (empty where not known), x, y (level-0 px), domain, scanner, label,
        holds_figure, folds: number of averaged scores of the cell, and the votes of raters if the
        dataset has them.
    scores : data frame indexed likewise, a column per row
        Mean score of the second class, 0 to 1; NaN where a row did not score a cell.
    card
        Of the dataset: `title`, `classes`, `domains`, and `scanners`, `synthetic` if it has them.
    labels
        Row to its display name.
    known : data frame indexed by id
        All cells of the dataset, tested or not: columns slide, image, domain, label.
    scheme, fraction
        Training of the scores; `from_*` stands for all domains, tested out of domain.
    trainings
        Trained models of a row.
    """

    dataset: str
    cells: pd.DataFrame
    scores: pd.DataFrame
    card: Card
    labels: dict[str, str]
    known: pd.DataFrame
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
        """Notice that the tissue is synthetic; empty where it is not."""
        return str(self.card.get("synthetic", ""))

    @property
    def score_description(self) -> str:
        """One line on the models over which the scores are averaged."""
        what = SCHEME_PHRASES.get(self.scheme.removesuffix("_matched"), "test folds")
        few, many = self.cells["folds"].min(), self.cells["folds"].max()
        count = f"{many}" if few == many else f"{few} to {many}"
        return (
            f"score of {self.classes[1]}: mean over {count} of {self.trainings} {what}; "
            f"scheme {self.scheme}, training fraction {self.fraction}"
        )

    @cached_property
    def errors(self) -> pd.DataFrame:
        """1 for each false positive, -1 for each false negative, else 0, (cells, rows) int."""
        return find_errors(self.scores, self.cells["label"])

    @cached_property
    def raters(self) -> int:
        """The number of raters who voted on each cell."""
        return len(vote_columns(self.cells))

    @cached_property
    def raters_against(self) -> pd.Series:
        """How many raters contradict the label of each cell: they share an error of a row there."""
        return votes_of(self.cells).ne(self.cells["label"], axis=0).sum(axis=1)

    @cached_property
    def disagreement(self) -> pd.Series:
        """SD of the rows' scores of each cell."""
        return disagreement(self.scores)

    def table(self) -> pd.DataFrame:
        """Return one line per cell, with its annotations and the score of every row."""
        columns = ["slide", "image", "x", "y", "domain", "scanner", "label", "holds_figure"]
        scores = self.scores.round(SCORE_DIGITS).add_prefix("score ")
        known = self.cells[columns].assign(disagreement=self.disagreement.round(SCORE_DIGITS))
        known = known.assign(scheme=self.scheme, fraction=self.fraction, folds=self.cells["folds"])
        if self.raters:
            known = known.assign(raters=self.raters, raters_against=self.raters_against)
        return known.join(scores).reset_index()

    def with_provenance(self, table: pd.DataFrame) -> pd.DataFrame:
        """Add dataset in front, and scheme, fraction and number of trainings at the end.

        Lists of the cells of a sheet are left out.
        """
        table = table.drop(columns=["shown", "boxes"], errors="ignore")
        table = table.assign(scheme=self.scheme, fraction=self.fraction, folds=self.trainings)
        table.insert(0, "dataset", self.dataset)
        return table

    def with_study(self, table: pd.DataFrame, study: str) -> pd.DataFrame:
        """Add the study in front, and whether tissue is synthetic at the end."""
        table = table.assign(synthetic=bool(self.notice))
        table.insert(0, "study", study)
        return table


def read_atlas(
    cells: pd.DataFrame,
    windows: pd.DataFrame,
    predictions: list[Path],
    card: Card,
    labels: dict[str, str],
    cells_sha256: str,
) -> Atlas:
    """Read the scores of a dataset's tested cells by the rows of a study.

    Parameters
    ----------
    cells, windows
        Tables of the dataset, as `load_cells` and `load_windows` read them.
    predictions
        Files of one kind of scheme and one fraction; rows may be absent.
    labels
        Row to its display name, in table order.

    Raises
    ------
    StoreError
        The predictions were made from other cells, or none of them tests a cell.
    """
    runs = list(map(RunPath.of, predictions))
    known = cells.set_index("id").assign(**({"slide": ""} if is_unknown(card) else {}))
    scores, folds = load_scores(predictions, known["domain"], cells_sha256)
    scores = scores[[row for row in labels if row in scores]]
    found = {
        "scanner": assign_scanners(cells, card),
        "holds_figure": contains_mitosis(cells, windows),
    }
    tested = known.assign(**{name: column.to_numpy() for name, column in found.items()})
    return Atlas(
        dataset=runs[0].dataset,
        cells=tested.loc[scores.index].assign(folds=folds),
        scores=scores,
        card=card,
        labels=labels,
        known=known[["slide", "image", "domain", "label"]],
        scheme=str(Scheme.parse(runs[0].scheme).every),
        fraction=runs[0].fraction,
        trainings=len({(run.scheme, run.fold) for run in runs}),
    )


def load_scores(
    predictions: list[Path], domain: pd.Series, cells_sha256: str
) -> tuple[pd.DataFrame, pd.Series]:
    """Average the test scores of each cell over the folds that test it.

    Cells of the training domain of a scheme `from_` are ignored.

    Parameters
    ----------
    domain
        Domain of each cell, indexed by id.
    cells_sha256
        Hash of the table of cells from which the predictions must have been made.

    Returns
    -------
    scores : data frame indexed by id, sorted, a column per row
        Cells that no row tests are absent.
    folds : series indexed likewise
        Number of averaged scores, the maximum over the rows.

    Raises
    ------
    StoreError
        A file is damaged or was made from other cells, or none of them tests a cell.
    """
    tables: dict[str, list[pd.DataFrame]] = {}
    for path in predictions:
        table = read_predictions(path, cells_sha256=cells_sha256)
        table = table.loc[table["role"] == "test", ["id", "score"]]
        run = RunPath.of(path)
        scheme = Scheme.parse(run.scheme)
        if scheme.is_cross_domain:
            table = table[table["id"].map(domain).to_numpy() != scheme.domain]
        tables.setdefault(run.row, []).append(table)
    grouped = {row: pd.concat(some).groupby("id")["score"] for row, some in tables.items()}
    scores = pd.DataFrame({row: group.mean().round(MEAN_DIGITS) for row, group in grouped.items()})
    scores = scores.sort_index()
    if scores.empty:
        raise StoreError(
            f"None of {len(predictions)} files of predictions tests a cell, first "
            f"{[*predictions, 'none'][0]}. Delete them and rerun."
        )
    folds = pd.DataFrame({row: group.size() for row, group in grouped.items()}).max(axis=1)
    return scores, folds.astype(int).sort_index()


def contains_mitosis(cells: pd.DataFrame, windows: pd.DataFrame) -> pd.Series:
    """Return which cells of the first class have the centre of one of the second in their window.

    The network sees such a look-alike together with a mitotic figure.

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
    """Return the SD of the rows' scores of each cell: 0 if all are equal, at most 0.5.

    NaN where fewer than two rows scored the cell.
    """
    return scores.std(axis=1, ddof=0).where(scores.notna().sum(axis=1) > 1)


def find_errors(scores: pd.DataFrame, label: pd.Series) -> pd.DataFrame:
    """Return 1 for each false positive, -1 for each false negative, else 0, (cells, rows) int.

    A row errs where its call, the second class above 0.5, is not the label. A row without a
    score has no error.
    """
    called = (scores >= THRESHOLD).astype(int)
    return called.sub(label, axis=0).where(scores.notna(), 0).astype(int)


def most_confident_errors(scores: pd.Series, errors: pd.Series, sign: int, count: int) -> list[int]:
    """Return the ids of a row's most confident errors, of ties the first.

    Parameters
    ----------
    sign
        1 for false positives, the highest score first; -1 for false negatives, the lowest first.
    """
    wrong = scores[errors == sign].sort_index()
    return [int(id_) for id_ in (-sign * wrong).sort_values(kind="stable").index[:count]]
