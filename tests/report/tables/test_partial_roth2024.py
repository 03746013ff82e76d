import pandas as pd
from conftest import CONFIG
from tests.report.tables.test_roth2024 import ABOUT, PUBLISHED, scores

from cryotome.core.cards import read_yaml
from cryotome.evaluation.published import read_published
from cryotome.report.tables.partial_roth2024 import partial_table, why_missing, write_partials
from cryotome.runtime.failures import Failure
from cryotome.study.checks import checked_study

FAILED = [
    Failure("finetune_dinov2", {"finetune": "dinov2_s_tcga"}, "the loss is nan", "log"),
    Failure("tile_slide", {"dataset": "tcga_crc", "slide": "a"}, "disk full", "log"),
    Failure("embed", {"dataset": "x", "view": "paper-fp32", "model": "ctranspath"}, "no", "log"),
]


def test_a_failed_finetuning_explains_its_own_rows_alone():
    row = {"view": "paper-fp32", "model": "dinov2_s_tcga", "head": "abmil"}
    said = why_missing(row | {"finetune": "dinov2_s_tcga"}, "slides", FAILED)
    assert said == "finetune_dinov2: the loss is nan; tile_slide: disk full"
    assert why_missing(row | {"finetune": ""}, "slides", FAILED) == "tile_slide: disk full"
    other = {"view": "paper-fp32", "model": "ctranspath", "head": "knn", "finetune": ""}
    assert why_missing(other, "patches", FAILED) == "embed: no"


def test_a_partial_table_has_what_is_there_and_says_why_the_rest_is_not(tmp_path):
    lines = [
        ("all", "tcga_crc", "auroc", 0.87, 0.04, 0.82, 0.92),
        ("all", "cptac_crc", "auroc", 0.70, 0.02, 0.66, 0.74),
    ]
    there = scores(tmp_path, "patient_folds", "ctranspath", "transformer_mil", lines)
    lacks = there.parents[1] / "model=dinov2_s_tcga" / there.name
    about = ABOUT | {"finetuned": {"dinov2_s_tcga": "dinov2_s_tcga"}}
    table = partial_table([there, lacks], read_published(PUBLISHED), "slides", FAILED, about)
    assert table["cohort"].fillna(-1).tolist() == [0.87, -1]
    assert table["why"].tolist() == ["", "finetune_dinov2: the loss is nan; tile_slide: disk full"]


def test_a_run_that_fails_leaves_both_tables_and_says_so(tmp_path):
    said, demo = [], checked_study(read_yaml(CONFIG / "config.yaml"), CONFIG)
    scored = {"slides": [], "patches": []}
    write_partials(demo, scored, tmp_path / "logs", say=said.append)
    table = pd.read_csv(tmp_path / "studies" / "demo" / "colorectal" / "table1_partial.csv")
    assert set(table["why"]) == {"not run yet"}
    assert len(table) == 3
    assert ["table1_partial.csv holds" in said[0], "table2_partial.csv holds" in said[1]] == [
        True
    ] * 2
    ganz = checked_study(read_yaml(CONFIG / "ganz2024.yaml"), CONFIG)
    write_partials(ganz, scored, tmp_path / "logs", say=said.append)
    assert len(said) == 2
