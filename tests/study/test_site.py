import os
import re
import shutil
from pathlib import Path

import pytest
import yaml
from conftest import CONFIG

from cryotome.core.errors import CardError, CryotomeError
from cryotome.study import site
from cryotome.study.checks import checked_study
from cryotome.study.load import config_file


@pytest.fixture(autouse=True)
def _clean(monkeypatch):
    for name in ("CRYOTOME_DATA_ROOT", "CRYOTOME_WEIGHTS_DIR"):
        monkeypatch.delenv(name, raising=False)


def config(name: str, **changes: object) -> dict:
    return yaml.safe_load(config_file(name, CONFIG).read_text(encoding="utf-8")) | changes


def test_the_number_of_shards_is_the_sites(tmp_path):
    assert site.resolve_site({}, tmp_path).shards == 4
    (tmp_path / "site.yaml").write_text("shards: 2\n", encoding="utf-8")
    assert site.resolve_site({}, tmp_path).shards == 2
    settled = site.resolve_site({"shards": 3, "study": "s"}, tmp_path)
    assert (settled.shards, settled.study) == (3, {"study": "s"})


@pytest.mark.parametrize("key", ["shards", "jobs_per_gpu"])
@pytest.mark.parametrize("jobs", ["two", 0, -1])
def test_a_number_of_jobs_that_is_none_is_refused(tmp_path, key, jobs):
    with pytest.raises(CardError, match=f"{key} is {jobs!r}; it is a number of jobs, 1 or more"):
        site.resolve_site({key: jobs}, tmp_path)


def test_gpus_bear_as_many_jobs_as_the_site_says(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,2")
    assert site.resolve_site({}, tmp_path).gpu_jobs == 2
    (tmp_path / "site.yaml").write_text("jobs_per_gpu: 3\n", encoding="utf-8")
    settled = site.resolve_site({"study": "s"}, tmp_path)
    assert (settled.gpu_jobs, settled.study) == (6, {"study": "s"})
    assert settled.environment["CRYOTOME_JOBS_PER_GPU"] == "3"
    assert site.resolve_site({"jobs_per_gpu": 1}, tmp_path).gpu_jobs == 2


def test_environment_wins_over_config_over_site_yaml(tmp_path, monkeypatch):
    (tmp_path / "site.yaml").write_text("data_root: /c\nweights_dir: /d\n", encoding="utf-8")
    assert site.resolve_site(config("demo"), tmp_path).data_root.as_posix() == "/c"
    assert site.resolve_site(config("demo", data_root="/b"), tmp_path).data_root.as_posix() == "/b"
    monkeypatch.setenv("CRYOTOME_DATA_ROOT", "/a")
    settled = site.resolve_site(config("demo", data_root="/b"), tmp_path)
    assert (settled.data_root.as_posix(), settled.weights_dir.as_posix()) == ("/a", "/d")
    assert "data_root" not in settled.study


def test_jobs_learn_the_site_from_variables_and_this_process_keeps_its_own(tmp_path):
    before = dict(os.environ)
    settled = site.resolve_site({"data_root": "/b", "device": "cpu", "jobs_per_gpu": 2}, tmp_path)
    assert settled.environment == {
        "CRYOTOME_DATA_ROOT": "/b",
        "CRYOTOME_WEIGHTS_DIR": "weights",
        "CRYOTOME_DEVICE": "cpu",
        "CRYOTOME_JOBS_PER_GPU": "2",
        "CRYOTOME_ALLOW_REMOTE_CODE": "",
    }
    assert dict(os.environ) == before


def test_a_misspelt_site_key_is_named(tmp_path):
    (tmp_path / "site.yaml").write_text("dataroot: /c\n", encoding="utf-8")
    with pytest.raises(CardError, match=r"site.yaml: unknown keys \['dataroot'\]"):
        site.resolve_site(config("demo"), tmp_path)


def test_a_real_study_without_a_gpu_stops_with_a_projection(monkeypatch, tmp_path):
    monkeypatch.setitem(os.environ, "CUDA_VISIBLE_DEVICES", "")
    ganz = checked_study(config("ganz2024"), CONFIG)
    with pytest.raises(
        CryotomeError,
        match=r"no GPU: the networks of study 'ganz2024' take about [\d,]+ days .*device=cpu insists",
    ):
        site.print_study_summary(ganz, site.resolve_site(config("ganz2024"), tmp_path), say=print)


def own_study(tmp_path, cells: int, **changes: object):
    """A study of one network on `cells` real cells, each of domain a or b."""
    shutil.copytree(CONFIG, tmp_path / "config")
    counts = {"expect": {"images": 2, "cells": {"a": [0, cells], "b": [0, 0]}}} if cells else {}
    card = {
        "title": "own", "source": "here", "reader": "table", "annotations": "c.csv", "images": "i",
        "classes": [{"name": "no", "id": "0"}, {"name": "yes", "id": "1"}],
        "domains": {x: {"title": x, "where": {"domain": x}} for x in "ab"},
        "patch": {"side": 224, "resolution": "native", "border": "reflect"},
    } | counts  # fmt: skip
    (tmp_path / "config/datasets/own.yaml").write_text(yaml.dump(card), encoding="utf-8")
    rows = [{"model": "dinov2_vitg14", "head": "ridge"}]
    said = {"study": "own", "datasets": ["own"], "rows": rows, "device": "auto"} | changes
    return checked_study(said, tmp_path / "config")


# 756 GFLOP a patch, 50 a second on each of two cores
@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (100, r"take about 13 min on its 2 cores \(at 50 GFLOP/s each\)\."),
        (4_000, r"take about 8\.4 hours on its 2 cores"),
        (0, r"take about 1 min .*, without the cells of own: no `expect:` in its card\."),
    ],
)
def test_a_small_real_study_without_a_gpu_runs_and_says_how_long(
    monkeypatch, tmp_path, cells, said
):
    monkeypatch.setitem(os.environ, "CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    study, lines = own_study(tmp_path, cells), list[str]()
    settled = site.resolve_site(study.config, tmp_path)
    site.print_study_summary(study, settled, say=lines.append)
    assert re.search(rf"^This machine has no GPU: the networks of study 'own' {said}", lines[-1])
    assert not site.uses_gpu(study, settled)


def test_a_study_of_more_than_a_day_wants_a_gpu_unless_the_processor_is_asked_for(
    monkeypatch, tmp_path
):
    monkeypatch.setitem(os.environ, "CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    study = own_study(tmp_path, 40_000)
    settled = site.resolve_site(study.config, tmp_path)
    assert site.uses_gpu(study, settled)
    with pytest.raises(CryotomeError, match=r"take about 4 days on its 2 cores"):
        site.print_study_summary(study, settled, say=print)
    insists = checked_study(study.config | {"device": "cpu"}, tmp_path / "config")
    site.print_study_summary(insists, settled, say=print)


def test_the_demo_says_how_to_start_the_papers_study(tmp_path):
    said: list[str] = []
    site.print_study_summary(
        checked_study(config("demo"), CONFIG),
        site.resolve_site(config("demo"), tmp_path),
        say=said.append,
    )
    assert said[0].startswith("cryotome: study 'demo', 7 rows")
    assert said[1].endswith(
        "--configfile config/studies/ganz2024.yaml, or config/studies/roth2024.yaml"
    )


def test_missing_annotations_name_the_way_out(tmp_path):
    settled = site.resolve_site(config("ganz2024", data_root=str(tmp_path)), tmp_path)
    with pytest.raises(
        CryotomeError, match=r"ODAEL.sqlite does not exist.*make data STUDY=ganz2024"
    ):
        site.annotation_file(checked_study(config("ganz2024"), CONFIG), settled, "ccmct")


def test_the_list_of_training_cells_is_asked_for_by_its_scheme_alone(tmp_path):
    asked = config("amibr", data_root=str(tmp_path), schemes=["predefined"])
    settled = site.resolve_site(asked, tmp_path)
    made = checked_study(settled.study, CONFIG)
    assert site.training_list(made, settled, "amibr", "random") == []
    with pytest.raises(CryotomeError, match=r"amibr_train_split.csv does not exist .*STUDY=amibr"):
        site.training_list(made, settled, "amibr", "predefined")
    path = tmp_path / "amibr" / "amibr_train_split.csv"
    path.parent.mkdir()
    path.touch()
    assert site.training_list(made, settled, "amibr", "predefined") == [str(path)]


def test_a_folder_that_may_not_be_written_is_named(tmp_path):
    site.check_writable(tmp_path / "results")
    site.check_writable(tmp_path)
    assert not list(tmp_path.iterdir())
    with pytest.raises(
        CryotomeError, match=r"You may not write to /proc .*let .*results be a link"
    ):
        site.check_writable(Path("/proc/results"))


@pytest.mark.parametrize(
    ("target", "network"),
    [
        ("results/cells/ccmct.csv", False),
        ("results/audits/ccmct.csv", False),
        ("results/embeddings/ccmct/paper-fp32/colour_histogram.h5", False),
        ("results/embeddings/ccmct/paper-fp32/uni.h5", True),
        ("results/table2.csv", True),
        ("all", True),
    ],
)
def test_a_target_without_a_network_asks_for_no_device(monkeypatch, tmp_path, target, network):
    monkeypatch.setitem(os.environ, "CUDA_VISIBLE_DEVICES", "")
    ganz = checked_study(config("ganz2024"), CONFIG)
    assert site.needs_network(ganz, [target]) == network
    assert site.needs_network(ganz, ["results/cells/ccmct.csv", target]) == network
    if not network:
        settled = site.resolve_site(config("ganz2024"), tmp_path)
        site.print_study_summary(ganz, settled, say=print, targets=[target])


def test_a_study_without_a_network_asks_for_no_device():
    rows = [{"model": "colour_histogram", "head": "ridge"}]
    plain = config("ganz2024", rows=rows, figure2=rows, reference=None)
    assert not site.needs_network(checked_study(plain, CONFIG), [])


def test_annotations_that_are_a_device_without_end_are_not_read(tmp_path):
    """They filled the memory."""
    (tmp_path / "midogpp").mkdir()
    (tmp_path / "midogpp" / "MIDOG++.json").symlink_to("/dev/zero")
    settled = site.resolve_site(config("ganz2024", data_root=str(tmp_path)), tmp_path)
    with pytest.raises(CryotomeError, match=r"MIDOG\+\+.json does not exist or is no file"):
        site.annotation_file(checked_study(config("ganz2024"), CONFIG), settled, "midogpp")
