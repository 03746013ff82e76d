"""Tables of the page: every number a link to its file, what is missing with its command."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from cryotome.report.page.results import FileLink
from cryotome.study.styles import Style

LARGE = 60  # lines from which a table is folded until it is asked for
VERDICTS = {"agrees": "✓", "differs": "≠", "not comparable": "–", "not measured": "–"}


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes
    ----------
    value
        What the column is sorted by: a number or a text; None sorts last.
    href, rule
        The file that a number came from, and the rule that made it.
    why
        What a reader should know of it: where a verdict comes from, what is missing.
    """

    text: str
    value: float | str | None = None
    href: str = ""
    rule: str = ""
    why: str = ""
    kind: str = ""
    look: Style | None = None


@dataclass(frozen=True)
class Grid:
    """A table.

    Attributes
    ----------
    columns
        Headings.
    lines
        Cells, one per column; the first names the line.
    folded
        Shown only when asked for.
    """

    caption: str
    columns: list[str]
    lines: list[list[Cell]]
    source: FileLink | None = None
    folded: bool = False

    def __post_init__(self) -> None:
        """Leave out columns in which nothing stands."""
        if not self.lines:
            return
        kept = [n for n in range(len(self.columns)) if any(line[n].text for line in self.lines)]
        object.__setattr__(self, "columns", [self.columns[n] for n in kept])
        object.__setattr__(self, "lines", [[line[n] for n in kept] for line in self.lines])

    @property
    def large(self) -> bool:
        return len(self.lines) > LARGE


def is_number(value: Any) -> bool:
    """Whether a value is a number that can be shown."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def number(
    value: Any, source: FileLink | None = None, *, digits: int = 3, sd: Any = None, text: str = ""
) -> Cell:
    """Write a number, with its SD where there is one; empty where there is no number.

    >>> number(0.91234, sd=0.05).text
    '0.912 ± 0.050'
    >>> number(float("nan")).text
    ''
    """
    if not is_number(value):
        return Cell("", None)
    said = text or (f"{value:,.0f}" if digits == 0 else f"{value:.{digits}f}")
    said += f" ± {sd:.{digits}f}" if is_number(sd) else ""
    href, rule = (source.href, source.rule) if source else ("", "")
    return Cell(said, float(value), href, rule, kind="number")


def span(low: Any, high: Any, source: FileLink | None = None, *, digits: int = 3) -> Cell:
    """Write an interval, sorted by its lower end.

    >>> span(0.5, 0.75, digits=2).text
    '0.50 to 0.75'
    """
    if not (is_number(low) and is_number(high)):
        return Cell("", None)
    href, rule = (source.href, source.rule) if source else ("", "")
    said = f"{low:.{digits}f} to {high:.{digits}f}"
    return Cell(said, float(low), href, rule, kind="number")


def p_value(value: Any, source: FileLink | None = None) -> Cell:
    """Write a p-value as papers do.

    >>> p_value(0.00001).text, p_value(0.0421).text
    ('< 0.001', '0.042')
    """
    if not is_number(value):
        return Cell("", None)
    return number(value, source, text="< 0.001" if value < 0.001 else f"{value:.3f}")


def verdict(said: Any, why: Any = "") -> Cell:
    """Write a verdict with a sign that needs no colour.

    >>> verdict("agrees").text
    '✓ agrees'
    """
    if not isinstance(said, str) or not said:
        return Cell("", None)
    kind = f"verdict {said.replace(' ', '-')}"
    return Cell(f"{VERDICTS.get(said, '')} {said}".strip(), said, why=str(why or ""), kind=kind)


def text_of(value: Any) -> str:
    """Return what a cell of a CSV says, nothing where it is empty.

    >>> text_of(float("nan")), text_of("a")
    ('', 'a')
    """
    return "" if value is None or (isinstance(value, float) and math.isnan(value)) else str(value)


def words(text: Any, look: Style | None = None, *, why: str = "") -> Cell:
    """Write a text, behind a row's mark where it names one."""
    said = text_of(text)
    return Cell(said, said or None, look=look, why=why)


def missing_cell(why: str, command: str = "") -> Cell:
    """Write that a number is missing, why, and the command that makes it."""
    return Cell(
        "missing", None, why=". ".join(filter(None, [why.rstrip("."), command])), kind="missing"
    )


def split_columns(table: pd.DataFrame, *columns: str) -> Iterator[tuple[Any, pd.DataFrame]]:
    """Return each value of a column, or tuple of values, and its lines, in their order."""
    found: Any = table.groupby(list(columns) if len(columns) > 1 else columns[0], sort=False)
    yield from found


def as_text(
    table: pd.DataFrame,
    caption: str,
    source: FileLink | None,
    *,
    digits: int = 3,
    others: dict[str, FileLink] | None = None,
) -> Grid:
    """Show a table as it is: the table behind a figure.

    Parameters
    ----------
    others
        Column to where its numbers came from, where that is not `source`.
    """
    sources = [(others or {}).get(str(column), source) for column in table]
    lines = [
        [
            number(value, from_, digits=0 if float(value).is_integer() else digits)
            if is_number(value)
            else words(value)
            for value, from_ in zip(line, sources, strict=True)
        ]
        for line in table.astype(object).to_numpy().tolist()
    ]
    return Grid(caption, [str(c).replace("_", " ") for c in table], lines, source, folded=True)
