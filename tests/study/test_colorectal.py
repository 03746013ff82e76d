import json
import re

import pytest
from conftest import CONFIG

from cryotome.core.cards import read_yaml
from cryotome.core.errors import CardError
from cryotome.study.checks import checked_study
from cryotome.study.colorectal import checkpoint_of, iterations
from cryotome.study.gather_facts import roth_facts
from cryotome.study.load import config_file
from cryotome.study.study import Study


def study(name: str, **changes: object) -> Study:
    return checked_study(read_yaml(config_file(name, CONFIG)) | changes, CONFIG)


def changed(name: str, **changes: object) -> Study:
    block = read_yaml(config_file(name, CONFIG))["colorectal"]
    return study(name, colorectal=block | changes)


def test_roth2024_has_twelve_rows_and_the_colour_histogram_below_them():
    part = study("roth2024").colorectal
    assert len(part.block["rows"]) == 12
    assert part.rows[-1].patches == part.rows[-1].slides == "colour_histogram"
    assert "dinov2_s_nct" in part.patch_models
    assert "dinov2_s_nct" not in part.slide_models
    assert [row.slides for row in part.rows[10:12]] == ["dinov2_s_tcga", "dinov2_g_tcga"]
    assert part.patch_heads == ["knn", "logreg"]
    assert part.slide_heads == ["transformer_mil", "abmil", "mean_pool"]
    assert part.folds == [0, 1, 2, 3, 4]


def test_the_published_weights_are_the_same_study_without_finetuning():
    ours, theirs = (study(name).colorectal for name in ("roth2024", "roth2024_published"))
    named = [
        re.sub("(dinov2_[sg]_(nct|tcga))", r"\1_published", json.dumps(row))
        for row in ours.block["rows"]
    ]
    assert [json.dumps(row) for row in theirs.block["rows"]] == named
    assert theirs.finetunings == []
    assert "colorectal/figure2.csv" not in study("roth2024_published").products
    assert set(ours.finetunings) == {
        "dinov2_s_nct", "dinov2_g_nct", "dinov2_s_tcga", "dinov2_g_tcga", "dinov2_s_nct_curve",
    }  # fmt: skip


def test_a_course_leads_from_the_released_encoder_over_checkpoints_to_the_last():
    course = study("roth2024").colorectal.figure2_checkpoints["patches"]
    assert list(course)[:3] == [0, 1000, 2000]
    assert course[0] == "dinov2_vits14_224"
    assert course[2000] == "dinov2_s_nct_curve_at_2000"
    assert course[10000] == "dinov2_s_nct_curve"
    assert iterations({"checkpoint_every": 300, "stop_iteration": 1000}) == [300, 600, 900, 1000]


def test_a_checkpoint_is_a_model_without_a_card():
    roth = study("roth2024")
    assert checkpoint_of("dinov2_s_nct_at_200") == ("dinov2_s_nct", 200)
    card = roth.model("dinov2_s_nct_at_200")
    assert card["weights"] == {"finetune": "dinov2_s_nct", "iteration": 200}
    assert card["title"] == "DINOv2 ViT-S/14 finetuned on NCT, iteration 200"
    with pytest.raises(CardError, match=r"dinov2_s_nct is exported after iterations \[200, 400"):
        roth.model("dinov2_s_nct_at_7")


def test_what_is_finetuned_here_answers_to_the_authors_numbers_and_what_is_random_says_so():
    roth = roth_facts(study("roth2024"))
    assert roth.published_names["dinov2_s_tcga"] == "dinov2_s_tcga_published"
    assert roth.random == []
    demo = roth_facts(study("demo"))
    assert demo.random == ["dinov2_tiny_random", "dinov2_tiny_demo"]
    assert demo.notice == "synthetic demo cohort"


def test_figure_2_follows_what_is_finetuned_here_alone():
    with pytest.raises(CardError, match="uni is not finetuned here"):
        _ = changed("roth2024", figure2={"patches": "uni", "slides": "dinov2_s_tcga"}).colorectal


def test_what_is_embedded_is_every_row_and_checkpoint_of_its_kind():
    wanted = study("demo").colorectal.embedding_requests
    assert [(rule, name) for rule, _, name in wanted] == [
        ("embed", "demo_tissue"), ("embed", "demo_tissue_external"),
        ("embed_slide", "demo_cohort"), ("embed_slide", "demo_external"),
    ]  # fmt: skip
    models = {"dinov2_tiny_random", "dinov2_tiny_demo", "dinov2_tiny_demo_at_8", "colour_histogram"}
    assert all(set(names) == models for _, names, _ in wanted)


@pytest.mark.parametrize(
    ("task", "key", "value"),
    [
        ("patches", "heads", ["knn", "abmil"]),
        ("patches", "heads", ["endtoend"]),
        ("patches", "test", "cptac_crc"),
        ("slides", "heads", ["logreg"]),
        ("slides", "external", "crc_val_he_7k"),
    ],
)
def test_heads_and_datasets_in_the_wrong_task_are_named(task, key, value):
    block = read_yaml(config_file("roth2024", CONFIG))["colorectal"]
    named = value[-1] if isinstance(value, list) else value
    with pytest.raises(CardError, match=f"{named}.*stand in the wrong task"):
        changed("roth2024", **{task: block[task] | {key: value}})


def test_tissue_of_many_classes_belongs_into_the_block():
    with pytest.raises(CardError, match=r"nct_crc_100k has 9 classes.* into `colorectal`"):
        study("ganz2024", datasets=["nct_crc_100k"])
