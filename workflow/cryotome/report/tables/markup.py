"""Markdown and LaTeX of the tables, with their captions.

Written here: tabulate pads its cells, and pandas puts LaTeX's caption above the table.
"""

import pandas as pd

from cryotome.core.tables import latex_text, markdown_text
from cryotome.evaluation.leakage_ladder import RUNGS
from cryotome.study.facts import RowFacts


def with_interval(value: str, low: float | None, high: float | None, digits: int = 2) -> str:
    """Return a value with its interval, if that is known: 0.89 ± 0.05 (0.83 to 0.94)."""
    return value if pd.isna(low) else f"{value} ({low:.{digits}f} to {high:.{digits}f})"


def _mean_sd(mean: float, sd: float) -> str:
    return f"{mean:.2f} ± {sd:.2f}"


def table2_cells(
    table: pd.DataFrame, labels: dict[str, str], intervals: pd.DataFrame, verdicts: pd.DataFrame
) -> pd.DataFrame:
    """Turn table2.csv into the cells that Markdown and LaTeX print.

    Parameters
    ----------
    labels
        `model + head` to the row's title.
    intervals, verdicts
        The study's intervals.csv and published.csv.
    """
    pooled = intervals[intervals["scheme"] == "from_*"].set_index(["dataset", "row", "tested"])
    keys = ["dataset", "model", "head", "quantity"]
    verdict_of = verdicts.drop_duplicates(keys).set_index(keys)["verdict"].to_dict()
    rows = []
    for line in table.to_dict("records"):
        pair, name = (line["model"], line["head"]), f"{line['model']} + {line['head']}"
        cells = {"Dataset": line["dataset"], "Row": labels[name]}
        for where, title in (("in", "In domain"), ("out", "Out of domain")):
            span = pooled.loc[(line["dataset"], name, where), ["low", "high"]].astype(float)
            mean, sd = line[f"{where}_mean"], line[f"{where}_sd"]
            cells[title] = "" if pd.isna(mean) else with_interval(_mean_sd(mean, sd), *span)
            mean, sd = line[f"published_{where}"], line[f"published_{where}_sd"]
            verdict = verdict_of.get((line["dataset"], *pair, f"auroc_{where}"), "")
            printed = "" if pd.isna(mean) else f"{_mean_sd(mean, sd)}: {verdict}"
            cells[f"Published {where}"] = printed
        rows.append(cells)
    return pd.DataFrame(rows)


def ladder_cells(table: pd.DataFrame, labels: dict[str, str]) -> pd.DataFrame:
    """Turn ladder.csv into the cells that Markdown prints: one line per row and rung."""

    def span(line: dict, name: str, low: str, high: str) -> str:
        return with_interval(f"{line[name]:.3f}", line[low], line[high], digits=3)

    return pd.DataFrame(
        {
            "Dataset": line["dataset"],
            "Row": labels[line["row"]],
            "Rung": line["title"],
            "Cells": f"{line['n_train']:,.0f}",
            "AUROC": span(line, "auroc", "low", "high"),
            "Within slides": f"{line['within_slide']:.3f}",
            "Cost": "" if line["rung"] == RUNGS[0] else span(line, "cost", "cost_low", "cost_high"),
        }
        for line in table.to_dict("records")
    )


def table2_caption(facts: RowFacts) -> str:
    """Return the caption of Table 2."""
    text = (
        f"Study {facts.study}: AUROC in domain and out of domain, mean ± population SD over pooled "
        f"folds and domains (95 % interval, {facts.as_unit}). Published: Ganz et al. 2024, "
        "Table 2, and whether it agrees; published.csv says why. "
    )
    return text + _datasets(facts)


def ladder_caption(facts: RowFacts) -> str:
    """Return the caption of the leakage ladder."""
    text = (
        f"Study {facts.study}: AUROC within domains at equal training size, rung by rung (95 % "
        "interval, slides as the unit). Cost: what the first rung gives more. Within slides: AUROC "
        "over pairs of one slide. "
    )
    return text + _datasets(facts)


def _datasets(facts: RowFacts) -> str:
    text = " ".join(f"{name}: {title}." for name, title in facts.datasets.items())
    return text + synthetic_sentence(facts.notice)


def synthetic_sentence(notice: str) -> str:
    """Return the last sentence of a caption of synthetic tissue; empty without a notice."""
    return f" Made from the {notice}: it says nothing about real tissue." if notice else ""


def to_markdown(cells: pd.DataFrame, text: str) -> str:
    """Write cells as a Markdown table above its caption; text is shown as written."""
    head = [list(cells.columns), ["---"] * cells.shape[1]]
    rows = head + cells.to_numpy().tolist()
    lines = ["| " + " | ".join(map(markdown_text, row)) + " |" for row in rows]
    return "\n".join(lines) + f"\n\n{markdown_text(text)}\n"


def to_latex(cells: pd.DataFrame, text: str) -> str:
    """Write cells as a LaTeX table with booktabs rules, above its caption."""
    body = [" & ".join(map(latex_text, row)) + r" \\" for row in cells.to_numpy().tolist()]
    rule = " & ".join(map(latex_text, cells.columns)) + r" \\"
    columns = "ll" + "c" * (cells.shape[1] - 2)
    inner = "\n".join([r"\toprule", rule, r"\midrule", *body, r"\bottomrule"])
    return (
        "\\begin{table}\n\\centering\n"
        f"\\begin{{tabular}}{{{columns}}}\n{inner}\n\\end{{tabular}}\n"
        f"\\caption{{{latex_text(text)}}}\n\\end{{table}}\n"
    )
