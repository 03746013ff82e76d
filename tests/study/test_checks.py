import shutil

import pytest
import yaml
from conftest import CONFIG
from tests.study.test_study import study

from cryotome.core.cards import load_card, read_yaml
from cryotome.core.errors import CardError
from cryotome.study.applications import Application, external_applications
from cryotome.study.checks import checked_study
from cryotome.study.gather_facts import roth_facts, row_facts
from cryotome.study.load import study_of


def test_a_model_without_a_network_is_not_trained():
    config = study("demo").config
    rows = [*config["rows"], {"model": "colour_histogram", "head": "lora"}]
    with pytest.raises(CardError, match="colour_histogram has no network that lora could train"):
        checked_study(config | {"rows": rows}, CONFIG)


def test_a_misspelt_config_key_is_named():
    with pytest.raises(CardError, match=r"study 'demo', top level: .*'fraction' was unexpected"):
        study("demo", fraction=[1.0])


def test_an_unknown_model_is_named_with_its_file():
    rows = [{"model": "univ", "head": "linear_probe"}]
    with pytest.raises(CardError, match=r"models/univ.yaml does not exist"):
        study("demo", rows=rows, figure2=rows, reference=None)


def test_figure2_must_speak_of_rows():
    with pytest.raises(CardError, match=r"figure2: .*'uni'.* is none of its `rows`"):
        study("demo", figure2=[{"model": "uni", "head": "linear_probe"}])


@pytest.mark.parametrize("shares", [[0.1], [0.3, 1.0]])
def test_fractions_of_trainings_are_of_the_studys_and_have_the_largest(shares):
    with pytest.raises(CardError, match=r"trained_fractions: .* must be some of `fractions`"):
        study("demo", fractions=[0.1, 1.0], trained_fractions=shares)


def test_labelled_cells_of_a_target_need_a_domain_that_does_not_train():
    asked = {"recalibration": {"labels": [0, 20]}}
    assert study("amibr", **asked).recalibration["labels"] == [0, 20]
    assert study("amibr", schemes=["random"], recalibration={"labels": [0]})
    with pytest.raises(
        CardError, match=r"labels: 20 cells of a domain .* \['random'\]. Add `from_"
    ):
        study("amibr", schemes=["random"], **asked)
    with pytest.raises(CardError, match=r"'label' was unexpected.*Did you mean 'labels'"):
        study("amibr", recalibration={"label": [0]})


def test_external_datasets_have_the_classes_of_the_studys_and_a_scheme_of_all_domains():
    parts = ["amibr_midog21", "amibr_tupac16"]
    made = study("amibr_external")
    assert external_applications(made) == [
        Application(parts[1], parts[0], "slide_grouped"),
        Application(parts[0], parts[1], "slide_grouped"),
    ]
    assert {name for name, _, _ in made.stores} == set(parts)
    assert study("amibr_external", datasets=parts[:1]).all_datasets == parts
    with pytest.raises(CardError, match=r"external: demo_rois has the classes .*'mitotic figure'"):
        study("amibr_external", external=["demo_rois"])
    with pytest.raises(CardError, match=r"external: .* `keep: false` keeps none"):
        study("amibr_external", keep=False)
    with pytest.raises(CardError, match=r"external: no scheme of \['from_\*'\] trains on all"):
        study("amibr_external", schemes=["from_*"], datasets=["amibr"])


def test_heads_that_are_fitted_to_votes_need_a_dataset_with_raters():
    rows = [{"model": "colour_histogram", "head": "ridge_cv_soft"}]
    assert study("amibr_raters", rows=rows, reference=None).rows
    with pytest.raises(
        CardError, match=r"the head ridge_cv_soft has `labels: soft` .*'amibr' names"
    ):
        study("amibr_raters", rows=rows, reference=None, datasets=["amibr"])


def test_the_reference_must_be_one_of_the_rows():
    with pytest.raises(CardError, match=r"reference: .*'uni'.* is none of its `rows`"):
        study("demo", reference={"model": "uni", "head": "linear_probe"})


def test_a_misspelt_domain_is_named():
    with pytest.raises(CardError, match="'from_breats' trains on a domain that none of"):
        study("demo", schemes=["random", "from_breats"])


def test_a_study_says_three_keys_and_the_others_have_defaults_that_are_not_the_demos():
    row = {"model": "colour_histogram", "head": "ridge"}
    least = {"study": "mine", "datasets": ["demo_rois"], "rows": [row]}
    made = checked_study(least, CONFIG)
    assert (made.folds, made.fractions, made.view) == ([0, 1, 2, 3, 4], ["1.0"], "paper-fp32")
    assert made.reference == "colour_histogram + ridge"
    assert made.colorectal is None
    assert {scheme for _, scheme in made.blocks} >= {"random", "from_breast"}
    assert checked_study(least | {"folds": 2}, CONFIG).folds == [0, 1]


@pytest.mark.parametrize("key", ["study", "datasets", "rows"])
def test_each_of_the_three_is_required(key):
    least = {"study": "mine", "datasets": [], "rows": []}
    with pytest.raises(CardError, match=f"'{key}' is a required property"):
        checked_study({k: v for k, v in least.items() if k != key}, CONFIG)


def test_a_misspelt_domain_that_is_left_out_is_named():
    with pytest.raises(CardError, match="'except_breats_matched' leaves out a domain that none of"):
        study("demo", schemes=["random", "except_breats_matched"])


def test_matched_schemes_have_no_sixth_fold():
    with pytest.raises(CardError, match="have a common size for 5 folds. Ask for no more"):
        study("ganz2024_ladder", folds=6)


def crops(folder, *said):
    """Copy the cards, and add one of class folders with two classes."""
    shutil.copytree(CONFIG, folder / "config")
    card = {"title": "Crops", "source": "s", "reader": "class_folders", "images": "crops"}
    card["classes"] = [{"name": "look-alike", "id": "no"}, {"name": "mitotic figure", "id": "yes"}]
    card["domains"] = {"lab": {"title": "lab", "where": {}}}
    card["patch"] = {"side": 32, "resolution": "native", "border": "reflect"}
    card |= dict(said)
    (folder / "config" / "datasets" / "crops.yaml").write_text(yaml.dump(card), encoding="utf-8")

    def made(**changes):
        rows = [{"model": "colour_histogram", "head": "ridge"}]
        config = read_yaml(CONFIG / "config.yaml") | {"datasets": ["crops"], "rows": rows}
        config |= {"schemes": ["random"], "reference": None, "figure2": rows} | changes
        return checked_study(config, folder / "config")

    return made


def test_class_folders_without_slide_names_are_refused_before_planning(tmp_path):
    with pytest.raises(CardError, match=r"'crops': `class_folders` .* Write `slides: unknown`"):
        crops(tmp_path)()


@pytest.mark.parametrize("name", ["all", "domains", "scanner_a"])
def test_a_domain_with_a_name_of_the_tables_is_refused(tmp_path, name):
    made = crops(tmp_path, ("domains", {name: {"title": "lab", "where": {}}}))
    with pytest.raises(CardError, match=rf"crops.yaml, domains: '{name}' does not match"):
        made()


def test_schemes_of_several_domains_are_refused_where_there_is_one(tmp_path):
    made = crops(tmp_path, ("slides", "unknown"))
    assert made(schemes=["random", "from_*"]).blocks == [("crops", "random")]
    with pytest.raises(CardError, match=r"\['from_\*'\] need several domains, and .*'crops'"):
        made(schemes=["from_*"])


@pytest.mark.parametrize("scheme", ["slide_grouped", "no_overlap", "random_matched"])
def test_schemes_that_part_slides_are_refused_where_none_is_known(tmp_path, scheme):
    made = crops(tmp_path, ("slides", "unknown"))
    with pytest.raises(CardError, match=f"Dataset 'crops', scheme '{scheme}'"):
        made(schemes=["random", scheme])
    assert row_facts(made()).unknown_slides == ["crops"]
    both = made(datasets=["demo_slides", "crops"])
    assert row_facts(both).unknown_slides == ["crops"]


def test_a_row_that_scores_cells_by_their_slide_is_refused_there(tmp_path):
    made = crops(tmp_path, ("slides", "unknown"))
    by_slide = [{"model": "slide_identity", "head": "slide_prevalence"}]
    with pytest.raises(CardError, match="slide_identity .* scores cells by their slide"):
        made(rows=by_slide, figure2=by_slide, reference=None)


def test_a_study_of_known_slides_says_nothing_of_unknown_ones():
    assert row_facts(study("demo")).unknown_slides == []
    assert roth_facts(study("demo")).unknown_slides == [
        "demo_tissue",
        "demo_tissue_external",
    ]


def test_predefined_sets_need_the_list_of_a_dataset_that_names_its_slides():
    made = study("amibr", schemes=["predefined"])
    assert made.blocks == [("amibr", "predefined")]
    assert '"image_pattern": "{dataset}_{uid}"' in made.split_card("amibr", "predefined")
    with pytest.raises(
        CardError, match="'predefined' needs the list of training cells of 'demo_rois'"
    ):
        study("demo", schemes=["predefined"])


def remote(tmp_path, **code):
    """Return a study of one model whose code is of a hub."""
    shutil.copytree(CONFIG, tmp_path / "config")
    pinned = {"hub": "someone/net", "revision": "0" * 40, "files": {"net.py": "0" * 64}} | code
    card = load_card(CONFIG, "models", "resnet10t_random")
    card |= {"loader": "python", "module": "net.py:build", "code": pinned}
    card.pop("architecture")
    (tmp_path / "config/models/remote_random.yaml").write_text(yaml.dump(card), encoding="utf-8")
    config = read_yaml(CONFIG / "studies" / "template.yaml")
    return config | {"rows": [{"model": "remote_random", "head": "ridge"}]}


def test_a_study_with_code_of_a_hub_needs_a_word_of_the_site(tmp_path):
    config, folder = remote(tmp_path), tmp_path / "config"
    with pytest.raises(CardError, match="remote_random runs code of someone/net, revision 0000"):
        study_of(config, folder, ())
    (folder / "site.yaml").write_text("allow_remote_code: true\n", encoding="utf-8")
    _, site = study_of(config, folder, ())
    assert site.environment["CRYOTOME_ALLOW_REMOTE_CODE"] == "true"
    with pytest.raises(CardError, match="'allow_remote_code' was unexpected"):
        study_of(config | {"allow_remote_code": True}, folder, ())
    (folder / "site.yaml").write_text("allow_remote_code: please\n", encoding="utf-8")
    with pytest.raises(CardError, match="allow_remote_code: 'please' is neither true nor false"):
        study_of(config, folder, ())


def test_the_file_that_is_called_is_among_those_that_are_pinned(tmp_path):
    config = remote(tmp_path, files={"other.py": "0" * 64})
    (tmp_path / "config/site.yaml").write_text("allow_remote_code: true\n", encoding="utf-8")
    with pytest.raises(CardError, match="remote_random', code: its `files` have no 'net.py'"):
        study_of(config, tmp_path / "config", ())
