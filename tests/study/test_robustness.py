import shutil

import pytest
import yaml
from tests.study.test_study import CONFIG, study

from cryotome.core.errors import CardError
from cryotome.study.checks import checked_study
from cryotome.study.load import config_file
from cryotome.study.robustness import robustness_facts

ASKED = {"confounders": ["slide", "domain"], "neighbours": 5, "max_cells": 1000}


def test_every_store_that_a_head_reads_is_measured_with_the_scanners_of_the_cards():
    facts = robustness_facts(study("amibr", robustness=ASKED))
    assert ("amibr", "efficientnet_lite0") in facts.stores
    assert facts.heads["efficientnet_lite0"] == ["linear_probe", "ridge_cv", "knn"]
    assert set(facts.cards["amibr"]["scanners"]) == {"hamamatsu_xr", "hamamatsu_s360", "aperio_cs2"}
    assert facts.identities == []
    assert robustness_facts(study("amibr_robustness")).identities == ["slide_identity"]


def test_only_a_study_that_asks_makes_its_tables():
    names = {f"robustness.{end}" for end in ("csv", "pdf", "png")} | {"robustness_loss.csv"}
    assert names < set(study("amibr", robustness=ASKED).products)
    assert not names & set(study("amibr").products)


def test_scanners_that_no_card_names_are_refused(tmp_path):
    shutil.copytree(CONFIG, tmp_path / "config")
    path = tmp_path / "config" / "datasets" / "amibr.yaml"
    card = yaml.safe_load(path.read_text(encoding="utf-8"))
    del card["scanners"]
    path.write_text(yaml.dump(card), encoding="utf-8")
    asked = {"robustness": ASKED | {"confounders": ["scanner"]}}
    config = yaml.safe_load(config_file("amibr", CONFIG).read_text(encoding="utf-8")) | asked
    with pytest.raises(CardError, match="the card of dataset 'amibr' names no `scanners`"):
        checked_study(config, tmp_path / "config")
    assert checked_study(config, CONFIG).config["robustness"]["confounders"] == ["scanner"]


def test_a_study_without_embeddings_is_refused():
    rows = [{"model": "resnet10t_random", "head": "endtoend_brief"}]
    with pytest.raises(CardError, match="no row reads embeddings"):
        study("amibr", robustness=ASKED, rows=rows, reference=None, figure2=[])
