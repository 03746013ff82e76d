"""The parts of the page, and what they say alike of rows, datasets and schemes."""

from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from cryotome.report.figures.charts import with_names
from cryotome.report.page.charts import Picture
from cryotome.report.page.grids import Cell, Grid, words
from cryotome.report.page.reading import READING
from cryotome.report.page.results import MissingFile, StudyResults
from cryotome.study.scanners import scanner_titles
from cryotome.study.schemes import SCANNER, Scheme

PLACES = {"in": "in domain", "out": "out of domain", "all": "all cells", "domains": "per domain"}
SCANNER_PLACES = {"in": "same scanner", "out": "other scanners", "domains": "per scanner"}


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes
    ----------
    said
        Paragraphs above tables and figures.
    missing
        Files that would belong here.
    choice
        Of the part with all metrics.
    """

    name: str
    title: str
    said: list[str] = field(default_factory=list)
    grids: list[Grid] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    missing: list[MissingFile] = field(default_factory=list)
    sheets: list[Any] = field(default_factory=list)
    choice: Any = None

    @property
    def reading(self) -> str:
        """How to read it."""
        return READING[self.name]

    def __bool__(self) -> bool:
        return bool(self.said or self.grids or self.pictures or self.missing or self.sheets)


def named(table: pd.DataFrame, g: StudyResults) -> pd.DataFrame:
    """Give a table the columns `key` (model + head) and `row` (its name for people)."""
    return with_names(table, g.facts.labels)


def row_cell(key: str, g: StudyResults) -> Cell:
    """Write a row's name behind its mark."""
    return words(g.facts.labels.get(key, key), g.facts.styles.get(key))


def panel(dataset: str, g: StudyResults, *more: str) -> str:
    """Title a figure by its dataset."""
    return ", ".join([g.facts.datasets.get(dataset, dataset).split(":")[0], *more])


def cells_of(dataset: str, scheme: str, g: StudyResults) -> str:
    """Say which cells a scheme trains on."""
    known = {"*": "each single domain", f"{SCANNER}*": "each single scanner"}
    known |= g.facts.domains.get(dataset, {}) | scanner_titles(g.facts.scanners.get(dataset, {}))
    named = Scheme.parse(scheme)
    if named.domain in known:
        said = "trained on" if named.is_from_one else "trained on all but"
        return f"{said} {known[named.domain]}{', equal training size' * named.matched}"
    return g.facts.schemes.get(scheme, scheme)


def place_of(line: dict[Any, Any], g: StudyResults) -> str:
    """Name the cells that a line of `comparisons.csv` was tested on."""
    tested, dataset = str(line["tested"]), str(line["dataset"])
    scanners = scanner_titles(g.facts.scanners.get(dataset, {}))
    if tested in scanners:
        return f"cells of {scanners[tested]}"
    by_scanner = Scheme.parse(str(line["scheme"])).is_by_scanner
    return (SCANNER_PLACES if by_scanner else PLACES)[tested]


def units(g: StudyResults) -> list[str]:
    """Say of which datasets intervals are over images, for their slides are not known."""
    if not g.facts.unknown_slides:
        return []
    return [f"Unit of intervals and tests: {g.facts.unit}. Images that share a slide are not "
            "independent, so that these intervals are too narrow."]  # fmt: skip


def where_cells(line: dict[Any, Any], g: StudyResults) -> list[Cell]:
    """Write the dataset of a line, and which cells were trained on."""
    dataset, scheme = str(line["dataset"]), str(line["scheme"])
    return [words(panel(dataset, g)), words(cells_of(dataset, scheme, g))]
