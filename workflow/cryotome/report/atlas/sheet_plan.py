"""Plan of the sheets of the error atlas: which patches are shown for a row, domain and scanner.

A sheet has a fixed number of patches. There is at most one sheet of errors per row, domain and
scanner, and one of disagreement per domain and scanner, so that their number is bounded.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from cryotome.report.atlas.errors import Atlas, most_confident_errors

PATCHES_PER_SHEET = 12  # of both signs together


@dataclass(frozen=True)
class PlannedPatch:
    """The patch of a cell on a sheet: its score or SD, class index, text lines and flag."""

    cell: int
    number: str
    label: int
    lines: tuple[str, ...]
    flag: str


@dataclass(frozen=True)
class SheetPlan:
    """Title, sections and patches of one sheet."""

    kind: str
    row: str
    domain: str
    scanner: str
    heading: tuple[str, ...]
    sections: tuple[tuple[str, tuple[PlannedPatch, ...]], ...]

    @property
    def cells(self) -> list[int]:
        """Ids of the cells shown."""
        return [patch.cell for _, patches in self.sections for patch in patches]

    @property
    def file(self) -> str:
        """File name of the sheet."""
        parts = [self.kind, self.domain, self.scanner, *self.row.split(" + ")]
        return ".".join(filter(None, parts)) + ".jpg"

    @property
    def description(self) -> str:
        """One line on what the sheet shows, as alternative text."""
        return "; ".join([*self.heading, *(title for title, _ in self.sections)])


def plan_sheets(atlas: Atlas) -> Iterator[SheetPlan]:
    """Yield the sheets of an atlas by domain and scanner: disagreement first, then a row each.

    No sheet is made for a row without errors, or for disagreement of fewer than two rows.
    """
    for (domain, scanner), part in atlas.cells.groupby(["domain", "scanner"]):
        where = {"domain": str(domain), "scanner": str(scanner)}
        place = _place(atlas, **where)
        odd = atlas.disagreement[part.index].dropna()
        if len(odd):
            heading = (place, "Where the models disagree most", atlas.score_description)
            most = (_disagreed(atlas, odd),)
            yield SheetPlan("disagreement", "", **where, heading=heading, sections=most)
        for row in atlas.rows:
            sections = tuple(_section(atlas, row, part.index, sign) for sign in (1, -1))
            heading = (
                place,
                f"{atlas.labels[row]}: most confident errors",
                atlas.score_description,
            )
            if any(patches for _, patches in sections):
                yield SheetPlan("errors", row, **where, heading=heading, sections=sections)


def _place(atlas: Atlas, domain: str, scanner: str) -> str:
    card = atlas.card
    known = card["scanners"][scanner]["title"] if scanner else ""
    unknown = "scanner not known" if "scanners" in card else ""
    names = [card["title"], card["domains"][domain]["title"], known or unknown]
    return ", ".join(filter(None, names))


def _planned(atlas: Atlas, cell: int, number: str, *more: str) -> PlannedPatch:
    about = atlas.cells.loc[cell].to_dict()
    lines = (*more, str(about["slide"] or about["image"]), f"x {about['x']:g}  y {about['y']:g}")
    flags = [f"holds {atlas.classes[1]}"] * bool(about["holds_figure"])
    against = atlas.raters_against[cell]
    flags += [f"{against} of {atlas.raters} raters against label"] * bool(against)
    return PlannedPatch(cell, number, int(about["label"]), lines, "; ".join(flags))


def _section(
    atlas: Atlas, row: str, cells: pd.Index, sign: int
) -> tuple[str, tuple[PlannedPatch, ...]]:
    """Choose the most confident errors of one sign among some cells."""
    scores, errors = atlas.scores.loc[cells, row], atlas.errors.loc[cells, row]
    shown = most_confident_errors(scores, errors, sign, PATCHES_PER_SHEET // 2)
    patches = tuple(_planned(atlas, cell, f"score {scores[cell]:.3f}") for cell in shown)
    negative, positive = atlas.classes
    kind, called, is_ = ("False positives", positive, negative)
    if sign < 0:
        kind, called, is_ = ("False negatives", negative, positive)
    found = errors.index[errors == sign]
    title = f"{kind}, {len(patches)} of {len(found):,}: {is_} called {called}"
    shared = int((atlas.raters_against[found] > 0).sum())
    return title + f"; {shared:,} shared by a rater" * (atlas.raters > 0), patches


def _disagreed(atlas: Atlas, odd: pd.Series) -> tuple[str, tuple[PlannedPatch, ...]]:
    shown = [int(id_) for id_ in odd.sort_index().sort_values(kind="stable", ascending=False).index]
    wrong, asked = atlas.errors.ne(0).sum(axis=1), atlas.scores.notna().sum(axis=1)
    patches = tuple(
        _planned(atlas, cell, f"SD {odd[cell]:.3f}", f"{wrong[cell]} of {asked[cell]} wrong")
        for cell in shown[:PATCHES_PER_SHEET]
    )
    measure = "SD of the models' scores: 0 all alike, 0.5 half against half"
    return f"{len(patches)} of {len(odd):,} cells. {measure}", patches
