import re
import shutil
from dataclasses import replace

import pandas as pd
import pytest
from conftest import CONFIG

from cryotome.core.cards import read_yaml
from cryotome.report.page.results import StudyResults
from cryotome.report.page.roth2024 import colorectal
from cryotome.study.checks import checked_study
from cryotome.study.gather_facts import page_facts

VALUES = {"model": ["dinov2_tiny_random", "colour_histogram"], "head": "transformer_mil_short",
          "title": ["Tiny ViT", "Colour histogram"], "synthetic": True}  # fmt: skip


@pytest.fixture
def g(tmp_path) -> StudyResults:
    study = checked_study(read_yaml(CONFIG / "config.yaml"), CONFIG)
    folder = tmp_path / "results" / "studies" / "demo" / "colorectal"
    folder.mkdir(parents=True)
    parts = {}
    for name, value in (("cohort", 0.81), ("external", 0.72)):
        parts |= {name: value, f"{name}_sd": 0.05, f"{name}_low": 0.6, f"{name}_high": 0.9}
        parts |= {f"{name}_published": ["0.84", None], f"{name}_published_sd": None}
        parts |= {f"{name}_verdict": ["agrees", None]}
    pd.DataFrame(VALUES | parts).to_csv(folder / "table1.csv", index=False)
    return StudyResults(folder.parent, page_facts(study))


def test_slides_have_measured_interval_published_and_verdict_side_by_side(g):
    section = colorectal(g)
    (grid,) = section.grids
    line = dict(zip(grid.columns, [cell.text for cell in grid.lines[0]], strict=True))
    assert line["Cohort"] == "0.810 ± 0.050"
    assert line["Cohort: 95 % interval"] == "0.600 to 0.900"
    assert (line["Cohort: published"], line["Cohort: verdict"]) == ("0.84", "✓ agrees")
    assert grid.lines[0][0].look is not None
    assert "Synthetic demo cohort" in section.said[-1]
    missing = [gap.file for gap in section.missing]
    assert "colorectal/table2.csv" in missing
    assert "colorectal/figure2.csv" in missing


def test_a_row_that_a_failed_run_lacks_says_why(g):
    folder = g.folder / "colorectal"
    table = pd.read_csv(folder / "table1.csv")
    table.loc[1, "cohort"] = None
    table["why"] = [None, "tile_slide: the disk is full"]
    table.to_csv(folder / "table1_partial.csv", index=False)
    (folder / "table1.csv").unlink()
    (grid,) = colorectal(g).grids
    cell = grid.lines[1][grid.columns.index("Cohort")]
    assert cell.text == "missing"
    assert cell.why.startswith("tile_slide: the disk is full. snakemake ")
    assert grid.source.href.endswith("table1_partial.csv")


def test_hours_keep_what_is_printed_apart_and_place_the_untrained_at_the_left(g):
    table = pd.DataFrame({
        "panel": "slides: Demo", "model": ["dinov2_tiny_random", "dinov2_tiny_demo"],
        "title": ["Tiny", "Tiny, finetuned"], "head": "abmil", "hours": [None, 0.5],
        "unit": "core-hours", "source": ["published", "measured"], "quantity": "auroc",
        "value": [0.6, 0.7], "low": 0.5, "high": 0.8,
    })  # fmt: skip
    table.to_csv(g.folder / "colorectal" / "figure1.csv", index=False)
    (picture,) = colorectal(g).pictures
    assert "highest is Tiny, finetuned, 0.70" in picture.said
    values = next(iter(picture.spec["datasets"].values()))
    assert [line["at"] for line in values] == pytest.approx([10**-2.5, 0.5])  # 0.1 h: a decade
    assert [line["number"] for line in values] == ["measured", "measured"]


def test_the_legend_of_each_panel_over_iterations_names_its_own_lines(g):
    keys = {"iteration": 0, "model": "dinov2_tiny_random", "low": 0.2, "high": 0.8, "chosen": True}
    patches = {"panel": "patches", "quantity": "balanced_accuracy", "head": "knn", "value": 0.5}
    slides = {"panel": "slides", "quantity": "auroc", "head": "mean_pool", "value": 0.6}
    rows = [patches | keys | {"dataset": "demo_tissue_external"},
            slides | keys | {"dataset": "demo_cohort"}]  # fmt: skip
    pd.DataFrame(rows).to_csv(g.folder / "colorectal" / "figure2.csv", index=False)
    figures = [p for p in colorectal(g).pictures if p.name.startswith("course-")]
    scales = [re.findall(r"'domain': (\['.*?\])", str(p.spec)) for p in figures]
    assert {str(found) for found in scales[0]} == {"['Demo tissue, external, knn']"}
    assert {str(found) for found in scales[1]} == {"['Demo cohort, mean_pool']"}


def test_a_study_without_paper_002_has_no_such_part(g):
    shutil.rmtree(g.folder / "colorectal")
    assert not colorectal(StudyResults(g.folder, replace(g.facts, roth=None)))
