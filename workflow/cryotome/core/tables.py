"""Text from elsewhere, made harmless where a spreadsheet, LaTeX or Markdown would obey it.

Names and titles come from servers, files and cards. Every CSV of the workflow is written here,
and those whose names are not all text are read here.
"""

import re
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from cryotome.core.files import atomic_write

Value = TypeVar("Value")

# a spreadsheet takes text that begins so for a formula, full-width signs too
FORMULA = tuple("=+-@＝＋－＠")
# but not a number, nor numbers with their interval: -0.5 (-0.7 to -0.3)
NUMBERS = re.compile(r"[-+]?(?:[\d\s.,;:()±%–−-]|\bto\b|\binf\b|\bnan\b|(?<=\d)e[-+]?(?=\d))*")
# columns of results that hold names, whatever those look like
NAMES = ["dataset", "scheme", "model", "head", "domain", "train_domain", "test_domain"]
NAMES += ["scanner", "slide", "image", "place", "file", "where"]
LATEX = {c: rf"\{c}" for c in "&%$#_{}"} | {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "±": r"$\pm$", "<": r"\textless{}", ">": r"\textgreater{}",
}  # fmt: skip


def one_line(text: str) -> str:
    """Return a text on one line, each character that cannot be printed a blank.

    >>> one_line("a\\nb")
    'a b'
    """
    return text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)


def harmless(value: Value) -> Value | str:
    """Return a cell that no spreadsheet takes for a formula: such text is quoted by a `'`.

    Numbers stay, as text too.

    >>> [harmless(value) for value in ("=1+1", "@SUM(A1)", "-0.5", "resnet50 + e2e", -1)]
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
    """Write a table as CSV, its texts harmless; arguments as of pandas."""
    safe = table.rename(columns=harmless)
    safe = safe.rename(index=harmless) if index else safe
    for place, kind in enumerate(safe.dtypes):
        if not pd.api.types.is_numeric_dtype(kind):
            safe.isetitem(place, safe.iloc[:, place].map(harmless).array)
    safe.to_csv(path, index=index, float_format=float_format)


def save_csv(table: pd.DataFrame, path: Path, **how: Any) -> None:
    """Write a table with `write_csv`, under its name only once it is complete."""
    with atomic_write(path) as beside:
        write_csv(table, beside, **how)


def read_csv(path: Path) -> pd.DataFrame:
    """Read a CSV that `write_csv` wrote: names stay text, and only an empty cell holds nothing.

    A domain may be called 01, 1e5, null or true.
    """
    return pd.read_csv(path, dtype=dict.fromkeys(NAMES, str), keep_default_na=False, na_values=[""])


def in_latex(value: object) -> str:
    """Return a cell as LaTeX prints it, whatever it holds.

    >>> in_latex("50 % of a_b ± \\\\input{x}")
    '50 \\\\% of a\\\\_b $\\\\pm$ \\\\textbackslash{}input\\\\{x\\\\}'
    """
    return "".join(LATEX.get(c, c) for c in one_line(str(value)))


def in_markdown(value: object) -> str:
    r"""Return a text as Markdown shows it: no bar ends its cell, no tag or code begins in it.

    >>> in_markdown("a|b <script>")
    'a\\|b \\<script>'
    """
    return re.sub(r"([\\|<$`])", r"\\\1", one_line(str(value)))
