import pytest
import yaml
from conftest import CONFIG

from cryotome.core.errors import CardError
from cryotome.study.checks import checked_study
from cryotome.study.gather_facts import row_facts, seed_replicates
from cryotome.study.load import config_file
from cryotome.study.row import Row
from cryotome.study.study import Study


def study(name: str, **changes: object) -> Study:
    return checked_study(
        yaml.safe_load(config_file(name, CONFIG).read_text(encoding="utf-8")) | changes, CONFIG
    )


def test_ganz2024_is_585_row_runs_of_which_65_are_trainings():
    ganz = study("ganz2024")
    assert len(ganz.rows) == 9
    assert ganz.runs == 585
    assert sum(ganz.is_trainable(row.head) for row in ganz.rows) * ganz.runs_of() == 65
    assert ganz.trainings == 65
    assert ganz.schemes("midog2022") == [
        "random", "from_human_breast", "from_canine_lung", "from_canine_lymphoma",
        "from_canine_mast_cell", "from_human_neuroendocrine",
    ]  # fmt: skip
    assert ganz.schemes("ccmct") == ["random"]


def test_ammeling2025_has_probe_lora_and_end_to_end_on_the_follow_ups_draw():
    follow_up = study("ammeling2025")
    heads = {row.model: set() for row in follow_up.rows}
    for row in follow_up.rows:
        heads[row.model].add(row.head)
    for model in ("gigapath", "h_optimus_0", "virchow", "virchow2", "uni", "phikon"):
        assert heads[model] == {"linear_probe", "lora"}, model
    assert heads["resnet50_imagenet"] == {"linear_probe", "endtoend", "endtoend_followup_last"}
    assert follow_up.schemes("ccmct") == ["random_independent"]
    assert len(follow_up.schemes("midog2022")) == 6
    assert follow_up.trainings == 9 * 65


def test_rows_that_read_patches_have_the_view_patches():
    rows = study("ganz2024").rows
    assert rows[0] == Row("gigapath", "linear_probe", "paper-fp16")
    assert rows[-1] == Row("resnet50_imagenet", "endtoend", "patches")


def test_one_domain_is_trained_on_at_full_size_only():
    ganz = study("ganz2024")
    assert ganz.training_fractions("from_canine_lung") == ["1.0"]
    assert ganz.training_fractions("random") == ["0.001", "0.01", "0.1", "1.0"]


def test_probes_are_recalibrated_at_every_fraction_and_trainings_where_they_are_run():
    shares, head = ["0.01", "1.0"], "full_finetuning_short"
    made = study(
        "amibr", fractions=[0.01, 1.0], trained_fractions=[1.0], recalibration={"labels": [0]}
    )
    assert made.recalibrated_fractions("from_tupac16", "knn") == shares
    assert made.recalibrated_fractions("except_tupac16", "knn") == shares
    assert made.recalibrated_fractions("from_tupac16", head) == ["1.0"]
    assert made.recalibrated_fractions("random", head) == ["1.0"]
    assert made.recalibrated_fractions("random_matched", "knn") == ["1.0"]
    assert made.training_fractions("from_tupac16", "knn") == ["1.0"]  # of all other products
    assert "recalibration.csv" in made.products
    assert study("amibr").recalibration is None
    assert not {name for name in study("amibr").products if "recalibration" in name}


def test_the_reference_does_not_depend_on_the_order_of_figure2():
    rows = study("demo").config["figure2"]
    facts = row_facts(study("demo", figure2=rows[::-1]))
    assert facts.reference == "efficientnet_lite0 + endtoend_brief"
    assert facts.figure2 == [Row(**row).key for row in rows[::-1]]


def test_without_rows_for_figure2_the_first_row_is_the_reference():
    first = study("demo").rows[0]
    facts = row_facts(study("demo", figure2=[], reference=None))
    assert facts.figure2 == [facts.reference] == [first.key]


def test_the_last_checkpoint_is_a_head_of_its_own():
    assert study("ganz2024").head("endtoend_last")["title"] == "end to end, last checkpoint"
    with pytest.raises(CardError, match="only end-to-end heads"):
        study("ganz2024").head("ridge_last")


def test_the_demo_is_synthetic_and_the_papers_study_is_not():
    assert study("demo").synthetic
    assert not study("ganz2024").synthetic
    assert row_facts(study("demo")).notice == "synthetic demo cohort"


def test_one_fraction_has_one_name():
    demo = study("demo", fractions=[1, 0.1, 0.00001])
    assert demo.training_fractions("random") == ["1.0", "0.1", "0.00001"]


def test_rows_that_train_may_run_at_fewer_fractions():
    whole, part = study("demo"), study("demo", fractions=[0.1, 0.3, 1.0], trained_fractions=[1.0])
    assert part.training_fractions("random", "ridge") == ["0.1", "0.3", "1.0"]
    assert part.training_fractions("random", "endtoend_brief_last") == ["1.0"]
    assert part.training_fractions("from_lung", "endtoend_brief") == ["1.0"]
    pooled = len(whole.all_domain_blocks) * len(whole.folds)
    frozen = sum(not whole.is_trainable(row.head) for row in whole.rows)
    trained = len(whole.rows) - frozen
    assert part.trainings == whole.trainings - pooled * trained
    assert part.runs == whole.runs + pooled * (frozen - trained)


def test_best_and_last_checkpoint_are_one_training():
    rows = [{"model": "resnet10t_random", "head": head} for head in ("endtoend", "endtoend_last")]
    demo = study("demo", rows=rows, figure2=rows, reference=None)
    assert (demo.runs, demo.trainings) == (28, 14)


def test_stores_are_those_of_networks_once_per_model():
    demo = study("demo")
    assert demo.stores == [
        (dataset, "paper-fp32", model)
        for dataset in ("demo_rois", "demo_slides")
        for model in ("vit_tiny_random", "efficientnet_lite0")
    ]


LADDER = ["random", "no_overlap", "slide_grouped", "from_*", "except_*"]

MATCHED = ["random_matched", "no_overlap_matched", "slide_grouped_matched", "except_*_matched"]


def test_stars_are_spelt_out_per_domain_and_are_none_with_one_domain():
    ganz = study("ganz2024", schemes=["except_*", "except_*_matched", "random_matched"])
    assert ganz.schemes("midog2022")[:2] == ["except_human_breast", "except_canine_lung"]
    assert ganz.schemes("midog2022")[5] == "except_human_breast_matched"
    assert len(ganz.schemes("midog2022")) == 11
    assert ganz.schemes("ccmct") == ["random_matched"]


def test_tables_and_figures_take_the_schemes_that_they_are_made_for():
    demo = study("demo", schemes=LADDER + MATCHED, datasets=["demo_rois"])
    assert [scheme for _, scheme in demo.cross_domain_blocks] == [
        "from_breast",
        "from_lung",
        "from_lymphoma",
    ]
    assert [scheme for _, scheme in demo.all_domain_blocks] == [
        "random",
        "no_overlap",
        "slide_grouped",
    ]
    assert [scheme for _, scheme in demo.matched_blocks] == [
        "random_matched", "no_overlap_matched", "slide_grouped_matched",
        "except_breast_matched", "except_lung_matched", "except_lymphoma_matched",
    ]  # fmt: skip
    assert demo.runs_of() == (3 * 2 + 3 + 3 + 6) * 2
    assert "figure1.csv" not in study("demo", schemes=["except_*", "random_matched"]).products


@pytest.mark.parametrize("scheme", ["except_lung", "random_matched", "except_lung_matched"])
def test_leave_one_out_and_matched_rungs_know_the_whole_only(scheme):
    assert study("demo").training_fractions(scheme) == ["1.0"]


def test_rows_that_differ_in_their_seed_alone_are_one_family():
    rows = [
        {"model": "resnet50_imagenet", "head": h}
        for h in ("linear_probe", "endtoend", "endtoend_seed1", "endtoend_last")
    ]
    families = seed_replicates(study("ganz2024", rows=rows, figure2=rows[1:2], reference=None))
    both = ["resnet50_imagenet + endtoend", "resnet50_imagenet + endtoend_seed1"]
    assert families["resnet50_imagenet + endtoend"] == both
    assert families["resnet50_imagenet + endtoend_seed1"] == both
    assert families["resnet50_imagenet + endtoend_last"] == ["resnet50_imagenet + endtoend_last"]
    assert families["resnet50_imagenet + linear_probe"] == []  # its optimum is unique


def test_one_model_under_two_heads_has_no_order():
    rows = [{"model": "uni", "head": h} for h in ("linear_probe", "ridge")]
    assert study("ganz2024", rows=rows, figure2=rows[:1], reference=None).multi_head_rows == []
    more = rows + [{"model": "phikon", "head": h} for h in ("linear_probe", "ridge")]
    assert len(study("ganz2024", rows=more, figure2=rows[:1], reference=None).multi_head_rows) == 4
