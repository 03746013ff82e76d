from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from conftest import CONFIG
from some_facts import some

from cryotome.evaluation.measured import read_counts, read_summaries
from cryotome.evaluation.published import compare_with_published, read_published
from cryotome.report.tables.roth2024 import (
    markdown_tables,
    slides_of_cohorts,
    table3,
    table_of_rows,
)
from cryotome.study.facts import RothFacts
from cryotome.study.row import Row

PUBLISHED = sorted((CONFIG / "published").glob("*.csv"))
ROWS = {
    "patches": [Row(name, "knn", "paper-fp32") for name in ("ctranspath", "dinov2_s_nct")],
    "slides": [
        Row(name, "transformer_mil", "paper-fp32") for name in ("ctranspath", "dinov2_s_tcga")
    ],
}
TITLES = {"tcga_crc": "TCGA-CRC", "cptac_crc": "CPTAC", "crc_val_he_7k": "CRC-VAL-HE-7K"}
FACTS = some(
    RothFacts,
    study="s",
    rows=[*ROWS["patches"], *ROWS["slides"]],
    rows_of=ROWS,
    asked_schemes=["predefined", "patient_folds"],
    fractions=[1.0],
    folds=[*range(5)],
    published_names={
        "dinov2_s_nct": "dinov2_s_nct_published",
        "dinov2_s_tcga": "dinov2_s_tcga_published",
    },
    titles={
        "ctranspath": "CTransPath",
        "dinov2_s_nct": "S on NCT",
        "dinov2_s_tcga": "S on TCGA",
    },
    datasets=TITLES,
    columns={
        "patches": {name: ("crc_val_he_7k", name) for name in ("balanced_accuracy", "weighted_f1")},
        "slides": {"cohort": ("tcga_crc", "auroc"), "external": ("cptac_crc", "auroc")},
    },
    synthetic_columns={"patches": [], "slides": []},
)


def scores(folder: Path, scheme: str, model: str, head: str, lines: list[tuple]) -> Path:
    path = folder / f"results/scores/d/{scheme}/view=paper-fp32/model={model}/head={head}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = ["fold", "test_domain", "metric", "value", "sd", "low", "high"]
    table = pd.DataFrame(lines, columns=columns).assign(fraction=1.0)
    if scheme == "patient_folds":
        table = table.assign(n_positive=65, n_negative=392)
    table.to_csv(path, index=False)
    return path


@pytest.fixture
def measured(tmp_path) -> pd.DataFrame:
    slides = [
        ("0", "tcga_crc", "auroc", 0.99, None, None, None),  # one fold is not the mean
        ("all", "tcga_crc", "auroc", 0.87, 0.04, 0.82, 0.92),
        ("all", "cptac_crc", "auroc", 0.70, 0.02, 0.66, 0.74),
        ("validation", "tcga_crc", "auroc", 0.91, 0.01, None, None),
    ]
    patches = [
        ("0", "crc_val_he_7k", "balanced_accuracy", 0.938, None, 0.93, 0.945),
        ("0", "crc_val_he_7k", "weighted_f1", 0.95, None, 0.94, 0.96),
    ]
    return read_summaries(
        [
            scores(tmp_path, "patient_folds", "dinov2_s_tcga", "transformer_mil", slides),
            scores(tmp_path, "predefined", "dinov2_s_nct", "knn", patches),
        ]
    )


def test_what_is_finetuned_here_answers_to_the_authors_numbers(measured):
    verdicts = compare_with_published(read_published(PUBLISHED), measured, FACTS)
    mine = verdicts[verdicts["model"] == "dinov2_s_tcga"].set_index(["table", "dataset"])["verdict"]
    assert mine["roth2024_table1", "tcga_crc"] == "agrees"  # printed 0.89, within .82 to .92
    assert mine["roth2024_table1", "cptac_crc"] == "differs"  # printed 0.85
    patches = verdicts[verdicts["model"] == "dinov2_s_nct"]
    knn = patches[(patches["head"] == "knn") & (patches["quantity"] == "balanced_accuracy")]
    said = knn.set_index("table")[["published", "verdict"]]
    assert said.loc["roth2024_readme"].tolist() == ["93.8%", "agrees"]
    assert said.loc["roth2024_table2"].tolist() == ["0.94", "agrees"]


def test_a_table_has_every_row_and_leaves_empty_what_lacks(measured):
    verdicts = compare_with_published(read_published(PUBLISHED), measured, FACTS)
    table = table_of_rows(measured, verdicts, "slides", FACTS)
    assert table["title"].tolist() == ["CTransPath", "S on TCGA"]
    assert table["cohort"].isna().tolist() == [True, False]
    assert table["cohort_published"].astype(float).tolist() == [0.85, 0.89]
    assert table.loc[1, ["cohort_low", "cohort_high", "external"]].tolist() == [0.82, 0.92, 0.70]
    patches = table_of_rows(measured, verdicts, "patches", FACTS)
    assert patches.loc[1, "balanced_accuracy"] == 0.938
    assert len(patches) == 2  # the README's numbers make no second line


def test_table3_lays_measured_sizes_beside_printed_slips():
    cards = {
        "roth_resnet50": {"title": "ResNet50", "dim": 2048},
        "colour_histogram": {"title": "colour", "dim": 96},
    }
    measured = {"roth_resnet50": {"parameters": 23_508_032, "dim": 2048}}
    table = table3(cards, measured, read_published(PUBLISHED)).set_index("model")
    assert table.loc["roth_resnet50", ["features", "published_features"]].tolist() == [2048, "1024"]
    assert "1024 is the truncated one" in table.loc["roth_resnet50", "note"]
    assert pd.isna(table.loc["colour_histogram", "parameters"])
    assert table.loc["colour_histogram", "features"] == 96


def test_counts_of_table3_are_judged_too(tmp_path):
    sizes = pd.DataFrame({"model": ["roth_resnet50"], "parameters": [23_508_032], "features": 2048})
    sizes.to_csv(tmp_path / "table3.csv", index=False)
    facts = replace(FACTS, rows=[Row("roth_resnet50", "knn", "paper-fp32")])
    counts = read_counts(tmp_path / "table3.csv")
    table = compare_with_published(read_published(PUBLISHED), counts, facts)
    said = table[table["table"] == "roth2024_table3"].set_index("quantity")["verdict"].to_dict()
    assert said == {"parameters": "differs", "features": "differs"}


def test_the_page_says_what_is_missing_printed_and_synthetic(measured, tmp_path):
    verdicts = compare_with_published(read_published(PUBLISHED), measured, FACTS)
    tables = []
    for kind in ("slides", "patches"):
        path = tmp_path / f"{kind}.csv"
        table_of_rows(measured, verdicts, kind, FACTS).to_csv(path, index=False)
        tables.append(pd.read_csv(path))
    sizes = table3({"c": {"title": "C", "dim": 3}}, {}, read_published(PUBLISHED)).assign(study="s")
    text = markdown_tables(*tables, sizes, FACTS)
    assert "| CTransPath | transformer_mil | missing | missing |" in text
    assert "0.87 ± 0.04 (0.82 to 0.92); printed 0.89: agrees" in text
    assert "65 of 457 positive in the cohort" in text
    assert "synthetic" not in text
    invented = {"patches": [], "slides": ["external"]}
    facts = replace(FACTS, notice="synthetic demo cohort", synthetic_columns=invented)
    slides, patches = markdown_tables(*tables, sizes, facts).split("Table 2:")
    assert "Made from the synthetic demo cohort (CPTAC)" in slides
    assert "synthetic" not in patches


def test_a_synthetic_external_cohort_marks_its_own_column_and_not_the_table(measured):
    verdicts = compare_with_published(read_published(PUBLISHED), measured, FACTS)
    facts = replace(FACTS, synthetic_columns={"patches": [], "slides": ["external"]})
    table = table_of_rows(measured, verdicts, "slides", facts)
    assert table.loc[0, ["cohort_synthetic", "external_synthetic", "synthetic"]].tolist() == [
        False, True, False,
    ]  # fmt: skip


def test_a_study_of_slides_alone_has_no_second_table(measured):
    columns = {"patches": {}, "slides": {"cohort": ("tcga_crc", "auroc")}}
    facts = replace(FACTS, columns=columns)
    verdicts = compare_with_published(read_published(PUBLISHED), measured, FACTS)
    slides = table_of_rows(measured, verdicts, "slides", facts)
    sizes = table3({"c": {"title": "C", "dim": 3}}, {}, read_published(PUBLISHED)).assign(study="s")
    text = markdown_tables(slides, None, sizes, facts)
    assert "Table 1:" in text and "Table 2" not in text.replace("roth2024_table2", "")
    assert "outside" not in text


def test_the_caption_of_table_1_says_which_slides_are_enlarged_or_cannot_be_used(
    measured, tmp_path
):
    path = tmp_path / "tcga_crc" / "classify.csv"
    path.parent.mkdir()
    path.write_text("slide,status\na,ok\nb,ok\nc,coarse\nnan,unfit\n", encoding="utf-8")
    said = slides_of_cohorts([path], FACTS)
    assert said == ["Slides of TCGA-CRC: 2 ok, 1 coarse, 1 unfit (tcga_crc/classify.csv)."]
    slides = table_of_rows(
        measured,
        compare_with_published(read_published(PUBLISHED), measured, FACTS),
        "slides",
        FACTS,
    )
    sizes = table3({"c": {"title": "C", "dim": 3}}, {}, read_published(PUBLISHED)).assign(study="s")
    assert said[0] in markdown_tables(slides, None, sizes, FACTS, said)
