from dataclasses import replace

import pandas as pd
from tests.evaluation.test_leakage_ladder import made
from tests.report.tables.test_ganz2024 import FACTS, PUBLISHED, scores

from cryotome.report.tables.ganz2024 import table2
from cryotome.report.tables.markup import (
    ladder_caption,
    ladder_cells,
    table2_caption,
    table2_cells,
    to_latex,
    to_markdown,
)


def test_markdown_and_latex_print_the_same_cells():
    intervals = pd.DataFrame(
        [
            ("d", "uni + linear_probe", "in", "from_*", 0.7, 0.8),
            ("d", "uni + linear_probe", "out", "from_*", 0.5, 0.6),
        ],
        columns=["dataset", "row", "tested", "scheme", "low", "high"],
    )
    verdicts = pd.DataFrame(
        [
            ("d", "uni", "linear_probe", "auroc_in", "agrees"),
            ("d", "uni", "linear_probe", "auroc_out", "differs"),
        ],
        columns=["dataset", "model", "head", "quantity", "verdict"],
    )
    table = table2(scores(), PUBLISHED, FACTS)
    cells = table2_cells(table, FACTS.labels, intervals, verdicts)
    assert to_markdown(cells, "text").splitlines()[2] == (
        "| d | UNI | 0.75 ± 0.11 (0.70 to 0.80) | 0.76 ± 0.03: agrees "
        "| 0.55 ± 0.09 (0.50 to 0.60) | 0.64 ± 0.05: differs |"
    )
    latex = to_latex(cells, "a_b")
    assert r"d & UNI & 0.75 $\pm$ 0.11 (0.70 to 0.80) & 0.76 $\pm$ 0.03: agrees" in latex
    assert r"\caption{a\_b}" in latex


def test_text_stands_in_markdown_and_latex_as_it_was_written():
    """A title is no formula, no tag and no column."""
    odd = pd.DataFrame({"A|B": ["cost $5_ {a}^2"], "Row": ["#1 ~ <i>x</i> 100% \\ `c`"]})
    assert to_markdown(odd, "H&E $x$").splitlines() == [
        r"| A\|B | Row |",
        "| --- | --- |",
        r"| cost \$5_ {a}^2 | #1 ~ \<i>x\</i> 100% \\ \`c\` |",
        "",
        r"H&E \$x\$",
    ]
    latex = to_latex(odd, "H&E $x$")
    assert r"cost \$5\_ \{a\}\textasciicircum{}2 & \#1 \textasciitilde{} \textless{}i" in latex
    assert r"100\% \textbackslash{} `c`" in latex
    assert r"\caption{H\&E \$x\$}" in latex


def test_the_ladder_is_printed_for_people():
    cells = ladder_cells(made(), {"row": "A row"})
    assert cells["Cost"].iloc[0] == ""
    assert cells["Rung"].tolist() == ["random", "apart", "slides", "domains"]
    assert cells["Cells"].iloc[0] == "500"


def test_captions_name_the_synthetic_tissue():
    titles = {"d": "D: atypical against normal"}
    facts = replace(FACTS, datasets=titles, notice="synthetic demo cohort")
    assert "synthetic demo cohort" in table2_caption(facts)
    plain = table2_caption(replace(facts, notice=""))
    assert "synthetic" not in plain
    assert "d: D: atypical against normal." in plain
    assert "synthetic demo cohort" in ladder_caption(facts)
