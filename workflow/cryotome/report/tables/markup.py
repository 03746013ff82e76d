"""Markdown and LaTeX of the tables, with their captions."""

import numpy as np
import pandas as pd

from cryotome.core.cards import Card
from cryotome.core.tables import latex_text, markdown_text
from cryotome.study.statistical_unit import as_unit


def _cell(mean: float, sd: float, low: float, high: float) -> str:
    reach = "" if np.isnan(low) else f" ({low:.2f} to {high:.2f})"
    return "" if np.isnan(mean) else f"{mean:.2f} ± {sd:.2f}{reach}"


def format_value(
    table: pd.DataFrame, labels: dict[str, str], intervals: pd.DataFrame, verdicts: pd.DataFrame
) -> pd.DataFrame:
    """Turn table2.csv into the cells that Markdown and LaTeX print.

    Parameters
    ----------
    labels
        `model + head` to the row's name for people.
    intervals, verdicts
        The study's intervals.csv and published.csv.
    """
    pooled = intervals[intervals["scheme"] == "from_*"].set_index(["dataset", "row", "tested"])
    keys = ["dataset", "model", "head", "quantity"]
    said = verdicts.drop_duplicates(keys).set_index(keys)["verdict"].to_dict()
    rows = []
    for line in table.to_dict("records"):
        pair = (line["model"], line["head"])
        cells = {"Dataset": line["dataset"], "Row": labels[" + ".join(pair)]}
        for where, name in (("in", "In domain"), ("out", "Out of domain")):
            span = pooled.loc[(line["dataset"], " + ".join(pair), where), ["low", "high"]]
            cells[name] = _cell(line[f"{where}_mean"], line[f"{where}_sd"], *span.astype(float))
            mean, sd = line[f"published_{where}"], line[f"published_{where}_sd"]
            verdict = said.get((line["dataset"], *pair, f"auroc_{where}"), "")
            cells[f"Published {where}"] = (
                "" if np.isnan(mean) else f"{mean:.2f} ± {sd:.2f}: {verdict}"
            )
        rows.append(cells)
    return pd.DataFrame(rows)


def caption(study: str, about: Card) -> str:
    """Return the sentences under Table 2.

    Parameters
    ----------
    about
        `datasets`: name to title and task; `notice`: empty unless tissue is synthetic.
    """
    text = (
        f"Study {study}: AUROC in domain and out of domain, mean ± population SD over pooled folds "
        f"and domains (95 % interval, {as_unit(about)}). Published: Ganz et al. 2024, Table 2, "
        "and whether it agrees; published.csv says why. "
    )
    return text + _tissue(about)


def ladder_caption(study: str, about: Card) -> str:
    """Return the sentences under the leakage ladder; `about` as of `caption`."""
    text = (
        f"Study {study}: AUROC within domains at equal training size, rung by rung (95 % interval, "
        "slides as the unit). Cost: what the first rung gives more. Within slides: AUROC over "
        "pairs of one slide. "
    )
    return text + _tissue(about)


def _tissue(about: Card) -> str:
    text = " ".join(f"{name}: {title}." for name, title in about["datasets"].items())
    notice = about["notice"]
    return f"{text} Made from the {notice}: it says nothing about real tissue." if notice else text


def to_markdown(cells: pd.DataFrame, text: str) -> str:
    """Write cells as a Markdown table above its caption; text is shown as written."""
    head = [list(cells.columns), ["---"] * cells.shape[1]]
    rows = head + cells.to_numpy().tolist()
    lines = ["| " + " | ".join(map(markdown_text, row)) + " |" for row in rows]
    return "\n".join(lines) + f"\n\n{markdown_text(text)}\n"


def to_latex(cells: pd.DataFrame, text: str) -> str:
    """Write cells as a LaTeX table with booktabs rules."""
    body = [" & ".join(map(latex_text, row)) + r" \\" for row in cells.to_numpy().tolist()]
    rule = " & ".join(map(latex_text, cells.columns)) + r" \\"
    columns = "ll" + "c" * (cells.shape[1] - 2)
    inner = "\n".join([r"\toprule", rule, r"\midrule", *body, r"\bottomrule"])
    return (
        "\\begin{table}\n\\centering\n"
        f"\\begin{{tabular}}{{{columns}}}\n{inner}\n\\end{{tabular}}\n"
        f"\\caption{{{latex_text(text)}}}\n\\end{{table}}\n"
    )
