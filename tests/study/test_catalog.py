import json
import shutil

import pytest
import yaml
from conftest import CONFIG
from tests.study.test_study import study

from cryotome.core.errors import CardError
from cryotome.study.checks import checked_study
from cryotome.study.gather_facts import row_facts

LADDER = ["random", "no_overlap", "slide_grouped", "from_*", "except_*"]


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
    first = demo.head("endtoend_brief")
    first["steps"] = 0
    shutil.rmtree(tmp_path / "config")
    assert demo.head("endtoend_brief") == {**first, "steps": 24}
    assert demo.head("endtoend_brief_last")["title"] == f"{first['title']}, last checkpoint"
    assert demo.head("endtoend_brief_last")["title"].count("last checkpoint") == 1


def test_a_matched_rung_has_the_card_of_its_scheme_and_says_so():
    demo = study("demo")
    assert demo.scheme("no_overlap_matched")["title"] == (
        "random cells, no shared pixels, equal training size"
    )
    assert demo.scheme("except_lung_matched")["split_by"] == "cells_of_other_domains"
    titles = row_facts(study("demo", schemes=["random_matched"])).schemes
    assert titles == {"random_matched": "random cells, equal training size"}
    with pytest.raises(CardError, match="'from_lung_matched': only .* have a common training size"):
        demo.scheme("from_lung_matched")
    with pytest.raises(CardError, match="'from_.*_matched': only"):
        study("demo", schemes=["from_*_matched"])


def test_a_common_size_hangs_on_every_rung_and_on_nothing_of_the_study(tmp_path):
    demo, other = study("demo"), study("demo", folds=5, fractions=[1.0], schemes=["random"])
    drawn = demo.split_card("demo_rois", "random_matched")
    assert drawn == other.split_card("demo_rois", "random_matched")
    rungs = ["random", "no_overlap", "slide_grouped", "except_breast", "except_lung", "except_lymphoma"]  # fmt: skip
    assert list(json.loads(drawn)["ladder"]) == sorted(rungs)
    assert json.loads(drawn)["ladder"]["slide_grouped"]["split_by"] == "slides"
    assert "ladder" not in json.loads(demo.split_card("demo_rois", "random"))
    assert "title" not in drawn


def test_only_draws_that_look_at_pixels_need_windows():
    demo = study("demo")
    need = [s for s in (*LADDER[:3], "from_lung", "except_lung") if demo.needs_windows(s)]
    assert need == ["no_overlap"]
    assert demo.needs_windows("random_matched")


def test_a_card_of_a_record_is_read_once(monkeypatch):
    ganz, read = study("ganz2024"), []
    monkeypatch.setattr(
        "cryotome.study.catalog.load_card", lambda *a: read.append(a[1:]) or {"title": "T"}
    )
    assert ganz.download("ccmct") == ganz.download("ccmct") == {"title": "T"}
    assert read == [("downloads", "ccmct")]
