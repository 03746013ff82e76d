import json
import shutil

import pytest
import yaml
from conftest import CONFIG

from cryotome.cli.data import describe_required_data
from cryotome.core.cards import read_yaml
from cryotome.core.errors import CryotomeError
from cryotome.study import rule_inputs
from cryotome.study.checks import checked_study
from cryotome.study.load import config_file, study_of
from cryotome.study.site import PLAN, resolve_site


@pytest.fixture
def demo():
    return checked_study(read_yaml(CONFIG / "config.yaml"), CONFIG)


def test_a_study_without_colorectal_part_has_no_runs():
    for named in (
        rule_inputs.checkpoint_runs, rule_inputs.finetunings, rule_inputs.figure2_finetunings,
        rule_inputs.tiled_cohorts,
    ):  # fmt: skip
        assert named(None) == []
    assert rule_inputs.row_runs(None, "patches") == rule_inputs.row_runs(None, "slides") == []


def test_rows_have_a_run_for_every_head(demo):
    part = demo.colorectal
    runs = rule_inputs.row_runs(part, "patches")
    assert len(runs) == len(part.patch_models) * len(part.patch_heads) > 0
    assert {run.dataset for run in runs} == {part.train}
    slides = rule_inputs.row_runs(part, "slides")
    assert {(run.dataset, run.scheme) for run in slides} == {(part.cohort, part.scheme)}


def test_checkpoints_of_figure2_are_runs_of_their_own_models(demo):
    models = {run.model for run in rule_inputs.checkpoint_runs(demo.colorectal)}
    assert models == {
        model for c in demo.colorectal.figure2_checkpoints.values() for model in c.values()
    }
    finetuned = rule_inputs.finetunings(demo.colorectal)
    assert set(rule_inputs.figure2_finetunings(demo.colorectal)) <= set(finetuned)


def test_external_cohorts_follow_the_own_one_alone(demo):
    part = demo.colorectal
    assert rule_inputs.with_external(demo, part.cohort) == [part.cohort, *part.external]
    assert rule_inputs.with_external(demo, part.external[0]) == part.external[:1]
    assert rule_inputs.tiled_cohorts(part) == part.cohorts


def test_classes_of_both_sets_are_listed(demo):
    said = json.loads(rule_inputs.class_lists(demo, demo.colorectal.sets))
    assert list(said) == demo.colorectal.sets
    assert all(len(one["classes"]) == 9 for one in said.values())


def test_a_missing_table_of_a_user_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("CRYOTOME_DATA_ROOT", str(tmp_path))
    monkeypatch.delenv("CRYOTOME_PLAN", raising=False)
    path = config_file("roth2024", CONFIG)
    site = resolve_site(read_yaml(path), CONFIG)
    study = checked_study(site.study, CONFIG, files=(str(path),))
    cohort = study.colorectal.cohort
    with pytest.raises(CryotomeError, match="does not exist, so the patients of"):
        rule_inputs.required_table(study, site, cohort, "labels")
    monkeypatch.setenv("CRYOTOME_PLAN", "1")
    assert rule_inputs.required_table(study, site, cohort, "labels") == []
    table = tmp_path / study.dataset(cohort)["labels"]["table"]
    table.parent.mkdir(parents=True)
    table.touch()
    assert rule_inputs.required_table(study, site, cohort, "labels") == [str(table)]


def test_what_a_model_says_of_its_data_is_taken_from_cards(demo):
    cells = json.loads(rule_inputs.subject_facts(demo, "demo_rois"))
    card = demo.dataset("demo_rois")
    assert cells["classes"] == [one["name"] for one in card["classes"]]
    assert (cells["patch"], cells["mpp"]) == (card["patch"], None)
    slides = json.loads(rule_inputs.subject_facts(demo, "demo_cohort", '{"dim": 3}'))
    assert slides["classes"] == ["MSI-L or MSS", "MSI-H"]
    assert (slides["patch"]["mpp"], slides["encoder"]) == (1.0, {"dim": 3})


OWN = {
    "title": "Mine", "source": "us", "licence": "ours", "weights": "none", "dim": 3,
    "loader": "embeddings", "embeddings": "mine/{dataset}.npy",
}  # fmt: skip


def own(tmp_path, *rows, **changes):
    """Return a study of a model whose embeddings a user has, and its site."""
    shutil.copytree(CONFIG, tmp_path / "config")
    card = tmp_path / "config" / "models" / "mine.yaml"
    card.write_text(yaml.dump(OWN | changes), encoding="utf-8")
    config = read_yaml(CONFIG / "studies" / "template.yaml") | {"rows": [*rows]}
    return study_of(config | {"data_root": str(tmp_path / "data")}, tmp_path / "config", ())


def test_own_embeddings_lie_below_data_root_a_file_per_dataset(tmp_path, monkeypatch):
    study, site = own(tmp_path, {"model": "mine", "head": "ridge"})
    asked = study, site, "demo_rois"
    assert rule_inputs.own_embeddings(*asked, "colour_histogram") == []
    with pytest.raises(
        CryotomeError, match=r"mine/demo_rois.npy does not exist .* mine has no emb"
    ):
        rule_inputs.own_embeddings(*asked, "mine")
    assert "MISSING  " in describe_required_data(study, site)
    monkeypatch.setenv(PLAN, "1")
    assert rule_inputs.own_embeddings(*asked, "mine") == []
    monkeypatch.delenv(PLAN)
    (tmp_path / "data" / "mine").mkdir(parents=True)
    for name in ("demo_rois.npy", "demo_rois.ids.npy"):
        (tmp_path / "data" / "mine" / name).touch()
    found = rule_inputs.own_embeddings(*asked, "mine")
    assert [path.rsplit("/", 1)[1] for path in found] == ["demo_rois.npy", "demo_rois.ids.npy"]


def test_heads_that_train_refuse_a_model_that_has_embeddings_alone(tmp_path):
    with pytest.raises(CryotomeError, match="mine has no network that lora could train. Give it a"):
        own(tmp_path, {"model": "mine", "head": "lora"})


@pytest.mark.parametrize(
    "change",
    [
        {"embeddings": "mine.h5"},  # every dataset would get the same vectors
        {"embeddings": "../{dataset}.h5"},
        {"embeddings": "mine/{dataset}.csv"},
        {"weights": {"random": 0}},
        {"pooling": "class"},
        {"loader": "colour_histogram"},
    ],
)
def test_a_card_of_own_embeddings_names_one_file_per_dataset_and_no_network(tmp_path, change):
    with pytest.raises(CryotomeError, match=r"models/mine.yaml"):
        own(tmp_path, {"model": "mine", "head": "ridge"}, **change)


def test_slides_are_not_embedded_by_a_model_without_a_network(tmp_path):
    shutil.copytree(CONFIG, tmp_path / "config")
    card = tmp_path / "config" / "models" / "mine.yaml"
    card.write_text(yaml.dump(OWN), encoding="utf-8")
    config = read_yaml(CONFIG / "config.yaml")
    part = {key: value for key, value in config["colorectal"].items() if key != "figure2"}
    config["colorectal"] = part | {"rows": ["mine"]}
    with pytest.raises(
        CryotomeError, match="mine has embeddings of cells and no network .* `bags:`"
    ):
        study_of(config, tmp_path / "config", ())
