"""Tables as CSV, and text escaped for spreadsheets, LaTeX and Markdown.

Names and titles come from servers, files and cards, and may hold formulas or markup. All CSV
files of the workflow are written here, and those with columns of names are read here.
"""

import re
from pathlib import Path
from typing import TypeVar

import pandas as pd

Value = TypeVar("Value")

# first characters of a formula in a spreadsheet, full-width ones included
FORMULA = tuple("=+-@＝＋－＠")
# numbers, also with their interval, are no formulas: -0.5 (-0.7 to -0.3)
NUMBERS = re.compile(r"[-+]?(?:[\d\s.,;:()±%–−-]|\bto\b|\binf\b|\bnan\b|(?<=\d)e[-+]?(?=\d))*")
# columns of names, which stay text even where they look like numbers
NAMES = ["dataset", "scheme", "model", "head", "domain", "train_domain", "test_domain"]
NAMES += ["scanner", "slide", "image", "place", "file", "where"]
LATEX = {c: rf"\{c}" for c in "&%$#_{}"} | {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "±": r"$\pm$", "<": r"\textless{}", ">": r"\textgreater{}",
}  # fmt: skip


def one_line(text: str) -> str:
    """Return a text on one line, with a blank for each character that is not printable.

    >>> one_line("a\\nb")
    'a b'
    """
    return text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)


def escape_formula(value: Value) -> Value | str:
    """Return a cell with a `'` before text that a spreadsheet would take for a formula.

    Numbers stay, also those that are text.

    >>> [escape_formula(value) for value in ("=1+1", "@SUM(A1)", "-0.5", "resnet50 + e2e", -1)]
    ["'=1+1", "'@SUM(A1)", '-0.5', 'resnet50 + e2e', -1]
    """
    if not isinstance(value, str):
        return value
    line = one_line(value)
    formula = line.lstrip().startswith(FORMULA) and not NUMBERS.fullmatch(line)
    return f"'{line}" if formula else line


def write_csv(
    table: pd.DataFrame, path: Path, *, index: bool = False, float_format: str | None = None
) -> None:
    """Write a table as CSV with formulas escaped; arguments as of pandas."""
    safe = table.rename(columns=escape_formula)
    safe = safe.rename(index=escape_formula) if index else safe
    for place, kind in enumerate(safe.dtypes):
        if not pd.api.types.is_numeric_dtype(kind):
            safe.isetitem(place, safe.iloc[:, place].map(escape_formula).array)
    safe.to_csv(path, index=index, float_format=float_format)


def read_csv(path: Path) -> pd.DataFrame:
    """Read a CSV of `write_csv`: names stay text, and only empty cells are missing values.

    A domain may be called 01, 1e5, null or true.
    """
    return pd.read_csv(path, dtype=dict.fromkeys(NAMES, str), keep_default_na=False, na_values=[""])


def latex_text(value: object) -> str:
    """Return a cell with the special characters of LaTeX escaped.

    >>> latex_text("50 % of a_b ± \\\\input{x}")
    '50 \\\\% of a\\\\_b $\\\\pm$ \\\\textbackslash{}input\\\\{x\\\\}'
    """
    return "".join(LATEX.get(c, c) for c in one_line(str(value)))


def markdown_text(value: object) -> str:
    r"""Return a text with bars, tags, code and formulas of Markdown escaped.

    >>> markdown_text("a|b <script>")
    'a\\|b \\<script>'
    """
    return re.sub(r"([\\|<$`])", r"\\\1", one_line(str(value)))
