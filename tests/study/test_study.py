import json
import shutil

import pytest
import yaml
from conftest import CONFIG

from cryotome.core.cards import read_yaml
from cryotome.core.errors import CardError
from cryotome.study.checks import checked_study
from cryotome.study.facts import colorectal_facts, table_facts
from cryotome.study.products import require_product
from cryotome.study.row import Row
from cryotome.study.study import Study


def study(name: str, **changes: object) -> Study:
    return checked_study(
        yaml.safe_load((CONFIG / f"{name}.yaml").read_text(encoding="utf-8")) | changes, CONFIG
    )


def test_ganz2024_is_585_row_runs_of_which_65_are_trainings():
    ganz = study("ganz2024")
    assert len(ganz.rows) == 9
    assert ganz.runs == 585
    assert sum(ganz.is_trainable(row.head) for row in ganz.rows) * ganz.runs_per_row == 65
    assert ganz.trainings == 65
    assert ganz.schemes("midog2022") == [
        "random", "from_human_breast", "from_canine_lung", "from_canine_lymphoma",
        "from_canine_mast_cell", "from_human_neuroendocrine",
    ]  # fmt: skip
    assert ganz.schemes("ccmct") == ["random"]


def test_a_model_without_a_network_is_not_trained():
    config = study("config").config
    rows = [*config["rows"], {"model": "colour_histogram", "head": "lora"}]
    with pytest.raises(CardError, match="colour_histogram has no network that lora could train"):
        checked_study(config | {"rows": rows}, CONFIG)


def test_ammeling2025_has_probe_lora_and_end_to_end_on_the_follow_ups_draw():
    follow_up = study("ammeling2025")
    heads = {row.model: set() for row in follow_up.rows}
    for row in follow_up.rows:
        heads[row.model].add(row.head)
    for model in ("gigapath", "h_optimus_0", "virchow", "virchow2", "uni", "phikon"):
        assert heads[model] == {"probe", "lora"}, model
    assert heads["resnet50_imagenet"] == {"probe", "e2e", "e2e_followup_last"}
    assert follow_up.schemes("ccmct") == ["random_independent"]
    assert len(follow_up.schemes("midog2022")) == 6
    assert follow_up.trainings == 9 * 65


def test_rows_that_read_patches_have_the_view_patches():
    rows = study("ganz2024").rows
    assert rows[0] == Row("gigapath", "probe", "paper-fp16")
    assert rows[-1] == Row("resnet50_imagenet", "e2e", "patches")


def test_one_domain_is_trained_on_at_full_size_only():
    ganz = study("ganz2024")
    assert ganz.training_fractions("from_canine_lung") == ["1.0"]
    assert ganz.training_fractions("random") == ["0.001", "0.01", "0.1", "1.0"]


def test_a_misspelt_config_key_is_named():
    with pytest.raises(CardError, match=r"study 'demo', top level: .*'fraction' was unexpected"):
        study("config", fraction=[1.0])


def test_an_unknown_model_is_named_with_its_file():
    rows = [{"model": "univ", "head": "probe"}]
    with pytest.raises(CardError, match=r"models/univ.yaml does not exist"):
        study("config", rows=rows, figure2=rows)


def test_figure2_must_speak_of_rows():
    with pytest.raises(CardError, match=r"figure2: .*'uni'.* is none of its `rows`"):
        study("config", figure2=[{"model": "uni", "head": "probe"}])


def test_without_rows_for_figure2_the_first_row_is_the_reference():
    first = study("config").rows[0]
    about = json.loads(table_facts(study("config", figure2=[])))
    assert about["figure2"] == [[first.model, first.head]]


def test_the_last_checkpoint_is_a_head_of_its_own():
    assert study("ganz2024").head("e2e_last")["title"] == "end to end, last checkpoint"
    with pytest.raises(CardError, match="only end-to-end heads"):
        study("ganz2024").head("ridge_last")


def test_the_demo_is_synthetic_and_the_papers_study_is_not():
    assert study("config").synthetic
    assert not study("ganz2024").synthetic
    assert "synthetic demo cohort" in table_facts(study("config"))


def test_a_study_without_single_domains_has_no_table2():
    assert "table2.csv" not in study("config", schemes=["random"]).products
    assert "table2.csv" in study("config").products


def test_a_misspelt_domain_is_named():
    with pytest.raises(CardError, match="'from_breats' trains on a domain that none of"):
        study("config", schemes=["random", "from_breats"])


def test_one_fraction_has_one_name():
    demo = study("config", fractions=[1, 0.1, 0.00001])
    assert demo.training_fractions("random") == ["1.0", "0.1", "0.00001"]


def test_a_product_that_a_study_does_not_make_is_refused():
    assert require_product(study("config"), "table2.csv") == "table2.csv"
    with pytest.raises(CardError, match="study 'demo' has no scheme that table2.csv is made from"):
        require_product(study("config", schemes=["random"]), "table2.csv")
    assert "figure1.csv" not in study("config", schemes=["from_*"]).products


def test_best_and_last_checkpoint_are_one_training():
    rows = [{"model": "resnet10t_random", "head": head} for head in ("e2e", "e2e_last")]
    demo = study("config", rows=rows, figure2=rows)
    assert (demo.runs, demo.trainings) == (28, 14)


def test_a_study_that_leaves_a_key_to_the_demo_is_refused(tmp_path):
    whole = read_yaml(CONFIG / "amibr.yaml")
    (tmp_path / "s.yaml").write_text(
        yaml.dump({k: v for k, v in whole.items() if k != "folds"}), encoding="utf-8"
    )
    files = (str(tmp_path / "s.yaml"), str(CONFIG / "config.yaml"))
    with pytest.raises(CardError, match=r"s.yaml lacks \['folds'\]. A study says every key itself"):
        checked_study(whole, CONFIG, files=files)
    (tmp_path / "s.yaml").write_text(yaml.dump(whole), encoding="utf-8")
    assert checked_study(whole, CONFIG, files=files).folds == [0, 1]


def test_stores_are_those_of_networks_once_per_model():
    demo = study("config")
    assert demo.stores == [
        (dataset, "paper-fp32", model)
        for dataset in ("demo_rois", "demo_slides")
        for model in ("vit_tiny_random", "resnet10t_random")
    ]


def test_lower_precision_concerns_networks_only():
    ganz = study("ganz2024")
    assert ganz.is_reduced_precision("uni", "paper-fp16")
    assert not ganz.is_reduced_precision("uni", "card-fp32")
    assert not ganz.is_reduced_precision("colour_histogram", "paper-fp16")


def test_a_study_reads_each_card_once_and_lends_no_card_to_be_changed(tmp_path):
    shutil.copytree(CONFIG, tmp_path / "config")
    demo = checked_study(
        yaml.safe_load((CONFIG / "config.yaml").read_text(encoding="utf-8")), tmp_path / "config"
    )
    first = demo.head("e2e_short")
    first["steps"] = 0
    shutil.rmtree(tmp_path / "config")
    assert demo.head("e2e_short") == {**first, "steps": 100}
    assert demo.head("e2e_short_last")["title"] == f"{first['title']}, last checkpoint"
    assert demo.head("e2e_short_last")["title"].count("last checkpoint") == 1


LADDER = ["random", "no_overlap", "slide_grouped", "from_*", "except_*"]
MATCHED = ["random_matched", "no_overlap_matched", "slide_grouped_matched", "except_*_matched"]


def test_stars_are_spelt_out_per_domain_and_are_none_with_one_domain():
    ganz = study("ganz2024", schemes=["except_*", "except_*_matched", "random_matched"])
    assert ganz.schemes("midog2022")[:2] == ["except_human_breast", "except_canine_lung"]
    assert ganz.schemes("midog2022")[5] == "except_human_breast_matched"
    assert len(ganz.schemes("midog2022")) == 11
    assert ganz.schemes("ccmct") == ["random_matched"]


def test_tables_and_figures_take_the_schemes_that_they_are_made_for():
    demo = study("config", schemes=LADDER + MATCHED, datasets=["demo_rois"])
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
    assert demo.runs_per_row == (3 * 2 + 3 + 3 + 6) * 2
    assert "figure1.csv" not in study("config", schemes=["except_*", "random_matched"]).products


@pytest.mark.parametrize("scheme", ["except_lung", "random_matched", "except_lung_matched"])
def test_leave_one_out_and_matched_rungs_know_the_whole_only(scheme):
    assert study("config").training_fractions(scheme) == ["1.0"]


def test_a_matched_rung_has_the_card_of_its_scheme_and_says_so():
    demo = study("config")
    assert demo.scheme("no_overlap_matched")["title"] == (
        "random cells, no shared pixels, equal training size"
    )
    assert demo.scheme("except_lung_matched")["draw"] == "cells_of_other_domains"
    titles = json.loads(table_facts(study("config", schemes=["random_matched"])))["schemes"]
    assert titles == {"random_matched": "random cells, equal training size"}
    with pytest.raises(CardError, match="'from_lung_matched': only .* have a common training size"):
        demo.scheme("from_lung_matched")
    with pytest.raises(CardError, match="'from_.*_matched': only"):
        study("config", schemes=["from_*_matched"])


def test_a_common_size_hangs_on_every_rung_and_on_nothing_of_the_study(tmp_path):
    demo, other = study("config"), study("config", folds=5, fractions=[1.0], schemes=["random"])
    drawn = demo.split_card("demo_rois", "random_matched")
    assert drawn == other.split_card("demo_rois", "random_matched")
    rungs = ["random", "no_overlap", "slide_grouped", "except_breast", "except_lung", "except_lymphoma"]  # fmt: skip
    assert list(json.loads(drawn)["ladder"]) == sorted(rungs)
    assert json.loads(drawn)["ladder"]["slide_grouped"]["draw"] == "slides"
    assert "ladder" not in json.loads(demo.split_card("demo_rois", "random"))
    assert "title" not in drawn


def test_only_draws_that_look_at_pixels_need_windows():
    demo = study("config")
    need = [s for s in (*LADDER[:3], "from_lung", "except_lung") if demo.needs_windows(s)]
    assert need == ["no_overlap"]
    assert demo.needs_windows("random_matched")


def test_a_misspelt_domain_that_is_left_out_is_named():
    with pytest.raises(CardError, match="'except_breats_matched' leaves out a domain that none of"):
        study("config", schemes=["random", "except_breats_matched"])


def test_every_study_makes_the_tables_that_its_schemes_give():
    def made(name: str) -> set[str]:
        return set(study(name).products)

    assert {"table2.csv", "learning.png", "comparisons.csv", "ranks.png"} <= made("ganz2024")
    assert not {"ladder.csv", "orders.csv"} & made("ganz2024")
    ladder = made("ganz2024_ladder")
    assert {"ladder.csv", "ladder.md", "ladder.png"} <= ladder
    assert not {"table2.csv", "figure1.csv", "learning.csv"} & ladder  # nothing but matched rungs
    assert {"orders.csv", "table2.csv"} <= made("ganz2024_probes")
    assert "learning.csv" not in made("ganz2024_probes")  # one fraction


def test_rows_that_differ_in_their_seed_alone_are_one_family():
    rows = [
        {"model": "resnet50_imagenet", "head": h} for h in ("probe", "e2e", "e2e_seed1", "e2e_last")
    ]
    families = study("ganz2024", rows=rows, figure2=rows[1:2]).seed_replicates
    both = ["resnet50_imagenet + e2e", "resnet50_imagenet + e2e_seed1"]
    assert families["resnet50_imagenet + e2e"] == both
    assert families["resnet50_imagenet + e2e_seed1"] == both
    assert families["resnet50_imagenet + e2e_last"] == ["resnet50_imagenet + e2e_last"]
    assert families["resnet50_imagenet + probe"] == []  # its optimum is unique


def test_one_model_under_two_heads_has_no_order():
    rows = [{"model": "uni", "head": h} for h in ("probe", "ridge")]
    assert study("ganz2024", rows=rows, figure2=rows[:1]).multi_head_rows == []
    more = rows + [{"model": "phikon", "head": h} for h in ("probe", "ridge")]
    assert len(study("ganz2024", rows=more, figure2=rows[:1]).multi_head_rows) == 4


def test_matched_schemes_have_no_sixth_fold():
    with pytest.raises(CardError, match="have a common size for 5 folds. Ask for no more"):
        study("ganz2024_ladder", folds=6)


def test_a_card_of_a_record_is_read_once(monkeypatch):
    ganz, read = study("ganz2024"), []
    monkeypatch.setattr(
        "cryotome.study.study.load_card", lambda *a: read.append(a[1:]) or {"title": "T"}
    )
    assert ganz.download("ccmct") == ganz.download("ccmct") == {"title": "T"}
    assert read == [("downloads", "ccmct")]


def crops(folder, *said):
    """Copy the cards, and add one of class folders with two classes."""
    shutil.copytree(CONFIG, folder / "config")
    card = {"title": "Crops", "source": "s", "reader": "class_folders", "images": "crops"}
    card["classes"] = [{"name": "look-alike", "is": "no"}, {"name": "mitotic figure", "is": "yes"}]
    card["domains"] = {"all": {"title": "all", "where": {}}}
    card["patch"] = {"side": 32, "resolution": "native", "border": "reflect"}
    card |= dict(said)
    (folder / "config" / "datasets" / "crops.yaml").write_text(yaml.dump(card), encoding="utf-8")

    def made(**changes):
        rows = [{"model": "colour_histogram", "head": "ridge"}]
        config = read_yaml(CONFIG / "config.yaml") | {"datasets": ["crops"], "rows": rows}
        config |= {"schemes": ["random"], "figure2": rows} | changes
        return checked_study(config, folder / "config")

    return made


def test_class_folders_without_slide_names_are_refused_before_planning(tmp_path):
    with pytest.raises(CardError, match=r"'crops': `class_folders` .* Write `slides: unknown`"):
        crops(tmp_path)()


@pytest.mark.parametrize("scheme", ["slide_grouped", "no_overlap", "random_matched"])
def test_schemes_that_part_slides_are_refused_where_none_is_known(tmp_path, scheme):
    made = crops(tmp_path, ("slides", "unknown"))
    with pytest.raises(CardError, match=f"Dataset 'crops', scheme '{scheme}'"):
        made(schemes=["random", scheme])
    assert json.loads(table_facts(made()))["unknown_slides"] == ["crops"]
    both = made(datasets=["demo_slides", "crops"])
    assert json.loads(table_facts(both))["unknown_slides"] == ["crops"]


def test_a_row_that_scores_cells_by_their_slide_is_refused_there(tmp_path):
    made = crops(tmp_path, ("slides", "unknown"))
    by_slide = [{"model": "slide_identity", "head": "slide_prevalence"}]
    with pytest.raises(CardError, match="slide_identity .* scores cells by their slide"):
        made(rows=by_slide, figure2=by_slide)


def test_a_study_of_known_slides_says_nothing_of_unknown_ones():
    assert "unknown_slides" not in json.loads(table_facts(study("config")))
    assert json.loads(colorectal_facts(study("config").colorectal))["unknown_slides"] == [
        "demo_tissue",
        "demo_tissue_external",
    ]
