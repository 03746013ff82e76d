"""Figure of recalibration: calibration error and AUROC against the labels that they took."""

from typing import Any

import altair as alt
import pandas as pd

from cryotome.core.cards import Card
from cryotome.evaluation.clinical.recalibrated import BEFORE, BY_MODEL
from cryotome.report.figures.charts import legend, lines, sheet, with_names, wrapped
from cryotome.study.facts import RowFacts
from cryotome.study.styles import Style

PLACES = {"in": "in domain", "out": "out of domain"}
WORDS = {"none": "as scored", "temperature": "temperature", "logistic": "slope and intercept"}
BLOCK = ["dataset", "scheme", "where"]
SIZE = {"width": 215, "height": 190}  # px of a panel in a sheet
ASIDE = 1.03  # factor between rows beside each other, so that no interval hides another


def fitted_on(labels: int) -> str:
    """Say on which cells a recalibration was fitted.

    >>> fitted_on(0), fitted_on(50)
    ('validation cells', '50 labelled cells of the target')
    """
    return f"{labels} labelled cells of the target" if labels else "validation cells"


def recalibration_panel(
    table: pd.DataFrame, looks: dict[str, Style], *, title: str, also: tuple[float, ...] = ()
) -> Any:
    """Draw a measure against the number of labels, a line for each row.

    Parameters
    ----------
    table
        Of `recalibration.csv`: a block, method, number of labels and measure; with the columns of
        `with_names`.
    also
        Heights that its scale shows too, such as those of the panels beside it.
    """
    keys = [key for key in looks if (table["key"] == key).any()]
    aside = table["key"].map(keys.index) - (len(keys) - 1) / 2
    table = table.assign(at=table["labels"] * ASIDE**aside)
    ticks = sorted({round(value) for value in table["labels"]})
    x = alt.X(
        "at:Q", title="labelled cells, all taken together",
        scale=alt.Scale(type="log", nice=False, padding=12),
        axis=alt.Axis(values=ticks, format="~d", grid=False, labelOverlap=True),
    )  # fmt: skip
    floor = 0.5 if (table["measure"] == "auroc").all() else float(table["floor"].mean())
    columns = ("value", "low", "high")
    return lines(table, looks, y=columns, title=title, floor=floor, also=also, x=x)


def fitted_labels(part: pd.DataFrame) -> list[int]:
    """Return the numbers of labels that a figure shows: the least, and the most of a target."""
    fitted = part.loc[part["method"] != BEFORE[0], "labels_spent"]
    return sorted({int(fitted.min()), int(fitted.max())})


def draw_recalibration(table: pd.DataFrame, facts: RowFacts) -> Card:
    """Draw calibration before and after, and AUROC: a line of panels per block and labels.

    Parameters
    ----------
    table
        From `recalibration.recalibration_lines`.
    """
    table, panels = with_names(table, facts.labels), []
    errors = table[table["measure"] == BY_MODEL]
    for place, part in errors.groupby(BLOCK, sort=False):
        ends = (0.0, float(part["high"].max()))
        for labels in fitted_labels(part):
            for method, words in WORDS.items():
                spent = 0 if method == BEFORE[0] else labels
                shown = part[(part["method"] == method) & (part["labels_spent"] == spent)]
                said = words if method == BEFORE[0] else f"{words}, on {fitted_on(labels)}"
                title = "calibration error of a model" if method == BEFORE[0] else ""
                panel = recalibration_panel(shown, facts.styles, title=title, also=ends)
                panels.append(panel.properties(title=_heading(place, said, facts), **SIZE))
            here = (table[BLOCK] == list(place)).all(axis=1)
            ranked = table[here & (table["measure"] == "auroc")]
            panel = recalibration_panel(ranked, facts.styles, title="AUROC")
            panels.append(panel.properties(title=_heading(place, "as scored", facts), **SIZE))
    drawn = {key: facts.styles[key] for key in facts.styles if (table["key"] == key).any()}
    note = f"95 % over {facts.unit}; dotted: perfect calibration, or chance"
    known = legend(drawn, facts.labels, title=note, columns=2)
    return sheet(panels, columns=len(WORDS) + 1, below=[known], notice=facts.notice)


def _heading(place: Any, said: str, facts: RowFacts) -> alt.Title:
    dataset, scheme, where = map(str, place)
    name = facts.datasets[dataset].split(":")[0]
    return alt.Title([*wrapped(f"{name}, {scheme}, {PLACES[where]}", 44), *wrapped(said, 44)])
