"""The error atlas: sheets of patches, slides for QuPath, agreement of rows."""

import base64
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from cryotome.report.figures.charts import matrix
from cryotome.report.page.charts import Picture, tips, with_theme
from cryotome.report.page.grids import Cell, Grid, as_text, number, text_of, words
from cryotome.report.page.results import FileLink, MissingFile, StudyResults
from cryotome.report.page.sections import Section, panel
from cryotome.study.statistical_unit import UNKNOWN

BUDGET = 6_000_000  # bytes of sheets that are put into the page; others are links
LISTED = 1000  # slides that are listed in the page; slides.csv has all
RULE = "error_atlas"
BOX = ("left", "top", "width", "height")


@dataclass(frozen=True)
class Place:
    """Where a cell is on a sheet, in CSS, and the page that has all of it."""

    cell: int
    href: str
    style: str


@dataclass(frozen=True)
class Sheet:
    """An image sheet.

    Attributes
    ----------
    group
        The dataset, and whose errors these are.
    href
        From the page to the file.
    data
        The picture itself as a data address, empty where it is only linked.
    anchor
        Name of a place in the page, of the first sheet of a dataset.
    places
        Of the cells that can be chosen.
    """

    group: str
    title: str
    said: str
    href: str
    data: str
    anchor: str = ""
    places: list[Place] = field(default_factory=list)
    rule: str = RULE


def atlas(g: StudyResults) -> Section:
    """Show sheets of errors, disagreements, agreement of rows, and files for QuPath."""
    sheets, grids, pictures, missing, left = [], [], [], [], BUDGET
    for dataset in g.facts.cards:
        name = f"atlas/{dataset}/sheets.csv"
        if not (g.folder / name).exists():
            missing += _missing(g, dataset)
            continue
        table = g.table(name)
        places = _places(g, dataset)
        shown, left = ([], left) if table is None else _sheets(table, g, left, places)
        sheets += shown
        grids += _slides(g, dataset)
        pictures += _agreement(g, dataset)
    said = [
        "The most confident errors of every row, and the cells on which rows disagree most. "
        "Flagged: negative cells whose patch holds the centre of an annotated positive one, such "
        "as a look-alike beside a mitotic figure."
    ] * bool(sheets)
    said += [
        "Choose a patch for its cell: the scores of all rows, the votes of raters, and the nearest "
        "training cells."
    ] * any(sheet.places for sheet in sheets)
    said += [
        "Flagged, too: cells whose label a rater contradicts. A row that errs there shares its "
        "error with that rater."
    ] * any("shared by a rater" in sheet.said for sheet in sheets)
    return Section("atlas", "Error atlas", said, grids, pictures, missing, sheets)


def _missing(g: StudyResults, dataset: str) -> list[MissingFile]:
    name = f"atlas/{dataset}/cells.csv"
    if dataset not in dict(g.facts.blocks):
        return []
    why = next((f.why for f in g.failed if f.rule == RULE), "")
    return [MissingFile(name, RULE, why or "not made yet", g.command(name))]


def _source(g: StudyResults, file: str) -> FileLink:
    return g.elsewhere(g.folder / file, RULE)


def _places(g: StudyResults, dataset: str) -> dict[str, list[Place]]:
    """Return the places of the cells of each sheet, by its file."""
    table = g.table(f"atlas/{dataset}/shown.csv")
    found: dict[str, list[Place]] = {}
    for line in [] if table is None else table.to_dict("records"):
        page = _source(g, str(Path(line["file"]).with_name(line["page"])))
        ends = "; ".join(f"{name}: {100 * line[name]:.2f}%" for name in BOX)
        place = Place(line["id"], f"{page.href}#cell-{line['id']}", ends)
        found.setdefault(line["file"], []).append(place)
    return found


def _sheets(
    table: pd.DataFrame, g: StudyResults, left: int, places: dict[str, list[Place]]
) -> tuple[list[Sheet], int]:
    """Return the sheets, in the page while the budget lasts, and what is left of it."""
    found: list[Sheet] = []
    for line in table.to_dict("records"):
        path = g.folder / str(line["file"])
        row = f"{line['model']} + {line['head']}"
        apart = line["kind"] == "disagreement"
        who = "where rows disagree" if apart else f"errors of {g.facts.labels.get(row, row)}"
        names = g.facts.domains.get(line["dataset"], {})
        origin = [names.get(line[n], line[n]) for n in ("domain", "scanner") if text_of(line[n])]
        where = ", ".join(dict.fromkeys(map(str, origin)))
        data, size = "", path.stat().st_size if path.exists() else 0
        if 0 < size <= left:
            left, data = left - size, _embedded(path)
        if size:
            group = f"{panel(str(line['dataset']), g)}: {who}"
            href = _source(g, str(line["file"])).href
            anchor = "" if found else f"atlas-{line['dataset']}"  # where GeoJSON leads back to
            each = places.get(line["file"], [])
            found.append(Sheet(group, where, str(line["what"]), href, data, anchor, each))
    return found, left


def _embedded(path: Path) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(path.read_bytes()).decode()}"


def _slides(g: StudyResults, dataset: str) -> list[Grid]:
    name = f"atlas/{dataset}/slides.csv"
    table = g.table(name)
    if table is None:
        return []
    rows, unknown = [], dataset in g.facts.unknown_slides
    slides = len(table)
    if slides > LISTED:
        table = table.nlargest(LISTED, "errors", keep="first")
    for line in table.to_dict("records"):
        file = _source(g, str(line["file"]))
        link = Cell(Path(file.file).name, str(line["file"]), file.href, RULE)
        what = line["place"] if unknown else line["slide"]
        rows.append([words(str(what)), link, number(line["cells"], file, digits=0),
                     number(line["errors"], file, digits=0)])  # fmt: skip
    heads = ["Image" if unknown else "Slide", "GeoJSON for QuPath", "Tested cells"]
    heads += ["Errors, all rows"]
    title = f"{'Images' if unknown else 'Slides'} of {panel(dataset, g)} for QuPath"
    title += f" ({UNKNOWN})" * unknown
    title += f": the {LISTED:,} of {slides:,} with most errors" * (slides > LISTED)
    return [Grid(title, heads, rows, _source(g, name), folded=True)]


def _agreement(g: StudyResults, dataset: str) -> list[Picture]:
    name = f"atlas/{dataset}/agreement.csv"
    table = g.table(name)
    if table is None:
        return []
    back = table.rename(columns={"row": "other", "other": "row"})
    both: Any = pd.concat([table, back], ignore_index=True)
    for column in ("row", "other"):
        both[column] = both[column].map(g.facts.labels).fillna(both[column])
    order = [label for label in g.facts.labels.values() if label in set(both["row"])]
    tip = tips(Row="row", Other="other", Kappa="kappa:.2f", Spearman="spearman:.2f",
               Both_right="both_right:,", Both_wrong="both_wrong:,")  # fmt: skip
    chart = matrix(both, fields=("row", "other"), value="kappa",
                   titles=("", "", "Cohen's kappa"), domain=(0.0, 1.0),
                   orders=(order, order))  # fmt: skip
    columns = ["row", "other", "kappa", "spearman", "both_right", "both_wrong"]
    behind = as_text(table[columns], panel(dataset, g), _source(g, name))
    said = f"How far rows agree on {panel(dataset, g)}: Cohen's kappa of their calls."
    spec = with_theme(chart, tip=tip, height=80 + 26 * len(order), rows=False)
    title = f"Agreement of rows, {panel(dataset, g)}"
    return [Picture(f"agreement-{dataset}", title, spec, said, behind, wide=len(order) > 8)]
