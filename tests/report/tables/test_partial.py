import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from some_facts import some
from tests.report.tables.test_roth2024 import FACTS as ROTH
from tests.report.tables.test_roth2024 import PUBLISHED as ROTH_PUBLISHED
from tests.report.tables.test_roth2024 import scores as roth_scores

from cryotome.core.files import sha256
from cryotome.evaluation.published import read_published
from cryotome.report.tables.partial import (
    available_values,
    missing_reason,
    table2_partial,
    table_of_rows_partial,
)
from cryotome.runtime.failures import Failure
from cryotome.study.facts import RowFacts
from cryotome.study.row import Row

PAIRS = [("uni", "linear_probe"), ("resnet", "endtoend"), ("resnet", "endtoend_last")]
FACTS = some(
    RowFacts,
    study="s",
    rows=[Row(*pair) for pair in PAIRS],
    domains={"midog": {"a": "A", "b": "B"}, "one": {"a": "A"}},
    homes={"midog": ["a", "b"], "one": []},
    synthetic=["midog"],
    folds=[0, 1],
)
VIEWS = {"linear_probe": "paper-fp32", "endtoend": "patches", "endtoend_last": "patches"}
PUBLISHED = pd.DataFrame(
    [("midog", "uni", "linear_probe", 0.7, 0.1, 0.6, 0.1, "x")],
    columns=["dataset", "model", "head", "in_mean", "in_sd", "out_mean", "out_sd", "source"],
)


def path_of(root, model, head, home, fold):
    folder = root / "predictions" / "midog" / f"from_{home}" / f"view={VIEWS[head]}"
    return folder / f"model={model}" / f"head={head}" / "fraction=1.0" / f"fold={fold}.csv"


def asked(root):
    return [path_of(root, *row, home, f) for row in PAIRS for home in "ab" for f in (0, 1)]


def write(path: Path, scores, cells):
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pd.read_csv(cells)
    table = table.assign(role="test", score=scores)[["id", "role", "label", "score"]]
    table.to_csv(path, index=False)
    split = cells.parent / "splits" / "midog" / path.parts[-6] / Path(*path.parts[-2:])
    split.parent.mkdir(parents=True, exist_ok=True)
    split.write_text("id,role\n", encoding="utf-8")
    about = {"cells_sha256": sha256(cells), "split_sha256": sha256(split)}
    about["csv_sha256"] = sha256(path)
    path.with_suffix(".json").write_text(json.dumps(about), encoding="utf-8")


@pytest.fixture
def cells(tmp_path):
    lines = "id,slide,domain,label\n0,s,a,0\n1,s,a,1\n2,s,b,0\n3,s,b,1\n"
    (tmp_path / "midog.csv").write_text(lines, encoding="utf-8")
    return tmp_path / "midog.csv"


def partial(root, cells, failed=()):
    scores, why = available_values(asked(root), {"midog": cells}, list(failed))
    return table2_partial(scores, PUBLISHED, why, FACTS).set_index(["model", "head"])


def test_what_exists_is_averaged_and_counted(tmp_path, cells):
    for fold in (0, 1):
        write(path_of(tmp_path, "uni", "linear_probe", "a", fold), [0, 1, 1, 0], cells)
    row = partial(tmp_path, cells).loc[("uni", "linear_probe")]
    assert (row["in_mean"], row["out_mean"]) == (1.0, 0.0)
    assert (row["in_found"], row["in_expected"]) == (2, 4)
    assert (row["out_found"], row["out_expected"]) == (2, 4)
    assert row["published_in"] == 0.7
    assert row["synthetic"]
    assert row["why"].startswith("not run yet: snakemake --cores 8 ")
    assert row["why"].endswith(
        "from_b/view=paper-fp32/model=uni/head=linear_probe/fraction=1.0/fold=1.csv"
    )


def test_a_whole_row_has_no_reason(tmp_path, cells):
    for path in asked(tmp_path)[:4]:
        write(path, [0, 1, 0, 1], cells)
    row = partial(tmp_path, cells).loc[("uni", "linear_probe")]
    assert row["why"] == ""
    assert (row["in_found"], row["out_found"]) == (4, 4)


def test_nothing_at_all_still_makes_a_line_for_every_row(tmp_path, cells):
    table = partial(tmp_path, cells)
    assert list(table.index) == list(PAIRS)
    assert table["in_mean"].isna().all()
    assert (table["in_found"] == 0).all()


def test_the_reason_is_that_of_the_job_that_failed(tmp_path, cells):
    weights = Failure("embed", {"dataset": "midog", "model": "uni"}, "no weights\n of uni", "")
    training = Failure("train_endtoend", {"model": "resnet", "head": "endtoend"}, "killed", "")
    others = [Failure(rule, {}, "no", "") for rule in ("score_row", "table1", "copy_to_results")]
    table = partial(tmp_path, cells, [*others, weights, training])
    assert table.loc[("uni", "linear_probe"), "why"] == "embed: no weights of uni"
    assert table.loc[("resnet", "endtoend"), "why"] == "train_endtoend: killed"
    assert table.loc[("resnet", "endtoend_last"), "why"] == "train_endtoend: killed"


def test_predictions_of_other_cells_are_not_used(tmp_path, cells):
    write(asked(tmp_path)[0], [0, 1, 0, 1], cells)
    cells.write_text(cells.read_text(encoding="utf-8") + "4,s,b,1\n", encoding="utf-8")
    row = partial(tmp_path, cells).loc[("uni", "linear_probe")]
    assert row["in_found"] == 0
    assert "fold=0.csv was made from other cells or another split: run" in row["why"]


def test_predictions_of_another_split_or_below_a_job_that_has_failed_since_are_not_used(
    tmp_path, cells
):
    for path in asked(tmp_path)[:4]:
        write(path, [0, 1, 0, 1], cells)
    assert partial(tmp_path, cells).loc[("uni", "linear_probe"), "in_found"] == 4
    later = Failure("embed", {"dataset": "midog", "model": "uni"}, "no room", "")
    row = partial(tmp_path, cells, [later]).loc[("uni", "linear_probe")]
    assert (row["in_found"], row["why"]) == (0, "embed: no room")
    (tmp_path / "splits/midog/from_a/fraction=1.0/fold=0.csv").write_text(
        "id,role\n1,test\n", encoding="utf-8"
    )
    row = partial(tmp_path, cells).loc[("uni", "linear_probe")]
    assert row["in_found"] == 3
    assert "or another split" in row["why"]


def test_half_a_prediction_is_missing(tmp_path, cells):
    write(asked(tmp_path)[0], [0, 1, 0, 1], cells)
    asked(tmp_path)[0].with_suffix(".json").unlink()
    assert partial(tmp_path, cells).loc[("uni", "linear_probe"), "in_found"] == 0


def test_rows_with_nothing_keep_their_published_numbers(tmp_path, cells):
    assert partial(tmp_path, cells).loc[("uni", "linear_probe"), "published_in"] == 0.7


def test_only_the_domains_that_are_trained_on_are_expected(tmp_path, cells):
    facts = replace(FACTS, homes={"midog": ["a"]})
    scores, why = available_values(asked(tmp_path), {"midog": cells}, [])
    table = table2_partial(scores, PUBLISHED, why, facts)
    assert table["in_expected"].tolist() == [2, 2, 2]
    assert table["out_expected"].tolist() == [2, 2, 2]


def test_without_a_table_of_cells_every_row_is_missing(tmp_path, cells):
    write(asked(tmp_path)[0], [0, 1, 0, 1], cells)
    failed = [Failure("read_cells", {"dataset": "midog"}, "wrong counts", "", 1)]
    scores, why = available_values(asked(tmp_path), {"midog": tmp_path / "none.csv"}, failed)
    assert len(scores) == 0
    assert set(why) == {("midog", *row) for row in PAIRS}


def test_predictions_that_hold_no_numbers_are_missing_with_that_reason(tmp_path, cells):
    write(asked(tmp_path)[0], [0, float("nan"), 0, 1], cells)
    row = partial(tmp_path, cells).loc[("uni", "linear_probe")]
    assert row["in_found"] == 0
    assert "fold=0.csv has no finite score for 1 cells, first 1" in row["why"]


FAILED = [
    Failure("finetune_dinov2", {"finetune": "dinov2_s_tcga"}, "the loss is nan", "log"),
    Failure("tile_slide", {"dataset": "tcga_crc", "slide": "a"}, "disk full", "log"),
    Failure("embed", {"dataset": "x", "view": "paper-fp32", "model": "ctranspath"}, "no", "log"),
]


def test_a_failed_finetuning_explains_its_own_rows_alone():
    row = {"view": "paper-fp32", "model": "dinov2_s_tcga", "head": "abmil"}
    said = missing_reason(row | {"finetune": "dinov2_s_tcga"}, "slides", FAILED)
    assert said == "finetune_dinov2: the loss is nan; tile_slide: disk full"
    assert missing_reason(row | {"finetune": ""}, "slides", FAILED) == "tile_slide: disk full"
    other = {"view": "paper-fp32", "model": "ctranspath", "head": "knn", "finetune": ""}
    assert missing_reason(other, "patches", FAILED) == "embed: no"


def test_a_partial_table_has_what_is_there_and_says_why_the_rest_is_not(tmp_path):
    lines = [
        ("all", "tcga_crc", "auroc", 0.87, 0.04, 0.82, 0.92),
        ("all", "cptac_crc", "auroc", 0.70, 0.02, 0.66, 0.74),
    ]
    there = roth_scores(tmp_path, "patient_folds", "ctranspath", "transformer_mil", lines)
    lacks = there.parents[1] / "model=dinov2_s_tcga" / there.name
    facts = replace(ROTH, finetuned={"dinov2_s_tcga": "dinov2_s_tcga"})
    table = table_of_rows_partial(
        [there, lacks], read_published(ROTH_PUBLISHED), "slides", FAILED, facts
    )
    assert table["cohort"].fillna(-1).tolist() == [0.87, -1]
    assert table["why"].tolist() == ["", "finetune_dinov2: the loss is nan; tile_slide: disk full"]
