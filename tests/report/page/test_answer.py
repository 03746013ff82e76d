import dataclasses

import pandas as pd
import pytest

from cryotome.report.page.answer import headline, verdict


def lines_of(section):
    (picture,) = section.pictures
    grid = picture.behind
    return [dict(zip(grid.columns, [c.text for c in line], strict=True)) for line in grid.lines]


def test_the_answer_holds_the_best_frozen_row_against_the_reference(g):
    table = pd.read_csv(g.folder / "comparisons.csv")
    table = table[(table["scheme"] == "from_*") & (table["tested"] == "out")]
    best = table.loc[table["difference"].idxmin()]
    section = headline(g)
    line = lines_of(section)[1]
    assert line["Its best row"] == g.facts.labels[best["row"]]
    assert (line["Encoder"], line["Tested"]) == (
        "frozen",
        "trained on each single domain, out of domain",
    )
    assert line["Reference minus row"] == f"{best['difference']:.3f}"
    assert section.said[1].startswith(f"{line['Dataset']}, {line['Tested']}: the best frozen row ")
    assert f"{abs(best['difference']):.2f} AUROC" in section.said[1]
    named = g.facts.labels[best["reference"]]  # once, where the reader meets it first
    assert [named in said for said in section.said[:2]] == [True, False]


def test_the_figure_draws_every_difference_of_the_sentences(g):
    (picture,) = headline(g).pictures
    (drawn,) = [v for v in picture.spec["datasets"].values() if "difference" in v[0]]
    found = [line["Reference minus row"] for line in lines_of(headline(g))]
    assert [f"{line['difference']:.3f}" for line in drawn] == found
    assert len({line["what"] for line in drawn}) == len(drawn)


def test_two_schemes_of_all_cells_are_two_lines_of_the_figure(g):
    """They were drawn over each other."""
    table = pd.read_csv(g.folder / "comparisons.csv")
    table = table[(table["scheme"] == "random") & (table["tested"] == "all")]
    assert len(table)
    both = pd.concat([table, table.assign(scheme="slide_grouped")])
    both.to_csv(g.folder / "comparisons.csv", index=False)
    (picture,) = headline(g).pictures
    (drawn,) = [v for v in picture.spec["datasets"].values() if "difference" in v[0]]
    assert len({line["what"] for line in drawn}) == len(drawn) == len(lines_of(headline(g)))


def test_each_way_has_its_best_row_and_controls_have_none(g):
    table = pd.read_csv(g.folder / "comparisons.csv")
    part = table[(table["scheme"] == "from_*") & (table["tested"] == "out")]
    ordered = part.sort_values("difference")["row"].tolist()
    ways = dict.fromkeys(g.facts.ways, "frozen")
    ways |= {ordered[0]: "control", ordered[2]: "adapted by LoRA"}
    other = dataclasses.replace(g, facts=dataclasses.replace(g.facts, ways=ways))
    found = [line for line in lines_of(headline(other)) if "out of domain" in line["Tested"]]
    names = [line["Its best row"] for line in found]
    assert names[:2] == [g.facts.labels[ordered[1]], g.facts.labels[ordered[2]]]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ((0.16, 0.13, 0.2, 0.01), "loses 0.16 AUROC (0.13 to 0.20) to R"),
        ((-0.05, -0.08, -0.02, 0.01), "gains 0.05 AUROC (0.02 to 0.08) over R"),
        ((0.01, 0.004, 0.02, 0.04), "loses 0.01 AUROC (0.00 to 0.02) to R"),
        (
            (-0.01, -0.03, 0.002, 0.3),
            "cannot be told from R (it gains 0.01 AUROC, 0.00 to 0.03, p after Holm 0.300)",
        ),
        (
            (-0.04, -0.08, -0.01, 0.08),  # alone it would, as the best of many it does not
            "cannot be told from R (it gains 0.04 AUROC, 0.01 to 0.08, p after Holm 0.080)",
        ),
    ],
)
def test_a_difference_is_said_as_far_as_the_test_of_all_rows_bears(values, said):
    names = ("difference", "low", "high", "p_slides_holm")
    assert verdict(dict(zip(names, values, strict=True)), "R", 0.05) == said


def test_the_page_wins_and_loses_only_with_a_p_below_the_studys_level(g):
    table = pd.read_csv(g.folder / "comparisons.csv")
    table["p_slides_holm"] = 0.5
    table.to_csv(g.folder / "comparisons.csv", index=False)
    found = [said for said in headline(g).said if "the best frozen row" in said]
    assert found and all("cannot be told from" in said for said in found)
