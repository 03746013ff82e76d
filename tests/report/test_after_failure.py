import json
import os
from types import SimpleNamespace

import h5py
import numpy as np
import pandas as pd
import pytest
from conftest import CONFIG, ROOT

from cryotome.core.cards import read_yaml
from cryotome.core.errors import WeightsError
from cryotome.core.store import LAYOUT, PATCHES, VERSION, finalise_store
from cryotome.report.after_failure import (
    clear_partial_page,
    refresh_partial_tables,
    report_excluded_images,
    report_failed_jobs,
    report_odd_slides,
)
from cryotome.runtime.failures import RUN, record_failure
from cryotome.study.checks import checked_study


def test_the_end_of_a_failed_run_lists_reasons_and_writes_what_there_is(tmp_path, monkeypatch):
    monkeypatch.setenv(RUN, "this")
    study = checked_study(read_yaml(CONFIG / "config.yaml"), CONFIG)
    logs, log = tmp_path / "logs", tmp_path / "logs" / "embed" / "a.log"
    log.parent.mkdir(parents=True)
    keys = {"dataset": "demo_rois", "view": "paper-fp32", "model": "vit_tiny_random"}
    with pytest.raises(WeightsError), record_failure(log, "embed", keys):
        raise WeightsError("put the file there")
    name = "predictions/demo_rois/from_lung/view=paper-fp32/model=vit_tiny_random/head=ridge"
    inputs = SimpleNamespace(
        cells=[str(tmp_path / "cells" / "demo_rois.csv")],
        predictions=[str(tmp_path / name / "fraction=1.0" / "fold=0.csv")],
        published=str(ROOT / "config" / "published" / "ganz2024_table2.csv"),
    )
    said = []
    report_failed_jobs(study, inputs, logs, run="this", say=said.append)
    assert "Jobs failed; what does not need them was made" in said[0]
    assert "embed demo_rois, paper-fp32, vit_tiny_random: put the file there" in said[0]
    table = pd.read_csv(tmp_path / "studies" / "demo" / "table2_partial.csv")
    rows = table.set_index(["model", "head"])
    assert rows.loc[("vit_tiny_random", "ridge"), "why"] == "embed: put the file there"
    assert len(table) == len(study.rows)


def test_a_partial_table_is_renewed_where_there_is_one_and_never_made_by_a_good_run(tmp_path):
    study = checked_study(read_yaml(CONFIG / "config.yaml"), CONFIG)
    published = ROOT / "config" / "published" / "ganz2024_table2.csv"
    inputs = SimpleNamespace(cells=[], predictions=[], published=str(published))
    assert refresh_partial_tables(study, inputs, tmp_path / "logs") is None
    table = tmp_path / "studies" / "demo" / "table2_partial.csv"
    table.parent.mkdir(parents=True)
    table.write_text("stale", encoding="utf-8")
    assert refresh_partial_tables(study, inputs, tmp_path / "logs") == table
    assert len(pd.read_csv(table)) == len(study.rows)


def test_failures_of_earlier_runs_are_not_listed(tmp_path):
    study = checked_study(read_yaml(CONFIG / "amibr.yaml") | {"schemes": ["random"]}, CONFIG)
    log = tmp_path / "embed" / "a.failed.json"
    log.parent.mkdir()
    log.write_text(
        json.dumps({"rule": "embed", "wildcards": {}, "why": "old", "log": "", "run": "other"}),
        encoding="utf-8",
    )
    said = []
    os.utime(log, (2e9, 2e9))  # written by a clock that has been set back since
    report_failed_jobs(study, SimpleNamespace(), tmp_path, run="this", say=said.append)
    assert "old" not in said[0]
    log.write_text(
        log.read_text(encoding="utf-8").replace("old", "new").replace("other", "this"),
        encoding="utf-8",
    )
    os.utime(log, (0, 0))
    report_failed_jobs(study, SimpleNamespace(), tmp_path, run="this", say=said.append)
    assert "new" in said[1]


def test_a_download_that_failed_says_nothing_of_table_2(tmp_path, monkeypatch):
    monkeypatch.setenv(RUN, "this")
    study = checked_study(read_yaml(CONFIG / "config.yaml"), CONFIG)
    log = tmp_path / "logs" / "download" / "mine.log"
    log.parent.mkdir(parents=True)
    with pytest.raises(WeightsError), record_failure(log, "download", {"record": "mine"}):
        raise WeightsError("404")
    said: list[str] = []
    report_failed_jobs(study, SimpleNamespace(), tmp_path / "logs", run="this", say=said.append)
    assert "download mine: 404" in said[0]
    assert len(said) == 1


def test_a_torn_store_does_not_keep_the_images_of_others_from_being_listed(tmp_path):
    study = SimpleNamespace(datasets=["torn", "good"])
    (tmp_path / "patches").mkdir()
    (tmp_path / "patches" / "torn.h5").write_bytes(b"\x89HDF")
    good = tmp_path / "patches" / "good.h5"
    with h5py.File(good, "w", libver=LAYOUT) as file:
        file["id"], file["patch"] = [0], np.zeros((1, 2, 2, 3), np.uint8)
    about = {"format": PATCHES, "version": VERSION, "broken": json.dumps({"a": "a is a page"})}
    finalise_store(good, "patch", about)
    said: list[str] = []
    report_excluded_images(study, tmp_path, say=said.append)
    assert said == ["1 images of good are left out, as its card says:\n  a is a page"]


def test_slides_that_contradict_the_card_are_listed_at_the_end(tmp_path):
    study = SimpleNamespace(colorectal=SimpleNamespace(cohorts=["here", "not_tiled"]))
    (tmp_path / "tiles" / "here").mkdir(parents=True)
    (tmp_path / "tiles" / "here" / "classify.csv").write_text(
        "slide,status,reason\na,ok,\nb,ok,b.svs says 0.5 and the card 0.25\n", encoding="utf-8"
    )
    said: list[str] = []
    report_odd_slides(study, tmp_path, say=said.append)
    assert len(said) == 1
    assert said[0].startswith("1 slides of here are odd, see ")
    assert said[0].endswith("classify.csv:\n  b.svs says 0.5 and the card 0.25")
    report_odd_slides(SimpleNamespace(colorectal=None), tmp_path, say=said.append)
    assert len(said) == 1


def test_the_page_of_an_unfinished_study_goes_once_a_later_one_is_finished(tmp_path):
    study, folder = SimpleNamespace(name="s"), tmp_path / "studies" / "s"
    folder.mkdir(parents=True)
    finished, partial = folder / "index.html", folder / "index_partial.html"
    partial.touch()
    clear_partial_page(study, tmp_path)
    assert partial.exists()  # nothing is finished
    finished.touch()
    os.utime(finished, (1, 1))
    clear_partial_page(study, tmp_path)
    assert partial.exists()  # it is newer
    os.utime(partial, (1, 1))
    clear_partial_page(study, tmp_path)
    assert not partial.exists()
