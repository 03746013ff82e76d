"""Where kept classifiers of slides look: heat maps and tiles of a few slides of each outcome."""

from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from cryotome.core.tables import read_csv
from cryotome.report.atlas.cell_pages import jpeg_address
from cryotome.report.atlas.qupath import file_names
from cryotome.report.page.atlas import Sheet
from cryotome.report.page.results import StudyResults
from cryotome.report.page.sections import Section

RULE = "apply_to_slides"
EACH, QUALITY = 2, 75  # slides of each end that are shown; of the JPEGs in the page
BUDGET = 4_000_000  # bytes of pictures that are put into the page; others are links


def surest(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the slides of the highest and of the lowest mean score, of ties the first.

    No slide is in both; slides without a score are in neither.
    """
    known = table.dropna(subset="score").sort_values("score", kind="stable")
    low = known.head(min(EACH, len(known) // 2))
    return {"highest": known.iloc[::-1].head(min(EACH, len(known) - len(low))), "lowest": low}


def attention(g: StudyResults) -> Section:
    """Show attention on the slides of other cohorts, a few of each outcome, chosen by score."""
    roth, sheets, left = g.facts.roth, [], BUDGET
    if roth is None or not g.facts.attended:
        return Section("attention", "")
    for target, title in g.facts.attended.items():
        for row in roth.rows_of["slides"]:
            path = g.results / "applied" / target / f"{row.model}.{row.head}.csv"
            if not path.exists():
                continue
            table = read_csv(path)
            names = file_names(sorted(table["slide"].astype(str)))
            for end, part in surest(table).items():
                group = f"{title}: {roth.titles[row.model]} + {row.head}, {end} scores"
                for line in part.to_dict("records"):
                    file = path.with_suffix("") / names[str(line["slide"])]
                    sheet, size = _sheet(g, file.with_suffix(".png"), group, line, left)
                    sheets += sheet
                    left -= size
    said = [
        f"The {EACH} slides with the highest and the {EACH} with the lowest score, mean over the "
        "models of all folds: a rule, no choice by hand. All others lie beside, with GeoJSON for "
        "QuPath."
    ]  # fmt: skip
    return Section("attention", "Where slide models look", said * bool(sheets), sheets=sheets)


def _sheet(
    g: StudyResults, path: Path, group: str, line: dict[Any, Any], left: int
) -> tuple[list[Sheet], int]:
    """Return a slide's picture and its bytes in the page, none where it is only linked."""
    if not path.exists():
        return [], 0
    with Image.open(path) as picture:
        data = jpeg_address(picture, QUALITY)
    data = data if len(data) <= left else ""
    half = f"{line['tiles_of_half']:,} of {line['tiles']:,} tiles hold half of the attention"
    said = f"Score {line['score']:.2f}, SD {line['score_sd']:.2f} over models; {half}"
    href = g.elsewhere(path, RULE).href
    return [Sheet(group, f"Slide {line['slide']}", said, href, data, rule=RULE)], len(data)
