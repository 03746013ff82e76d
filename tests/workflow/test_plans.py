"""What a target plans; nothing is made. Every test here asks Snakemake."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from accidents import checkout
from conftest import ROOT
from small_study import ROIS, SMALL, jobs, plan, snakemake


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkout(tmp_path_factory.mktemp("clone"))


def test_the_default_plans_the_demo_and_says_so(clone):
    said = snakemake(clone, "-n", "results/table2.csv")
    assert "study 'demo', 7 rows" in said
    assert "snakemake --configfile config/studies/ganz2024.yaml" in said
    assert jobs(said)["train_endtoend"] == 12  # two heads, three domains, two folds


def test_ganz2024_plans_585_row_runs_of_which_65_are_trainings(clone, data_root):
    said = snakemake(
        clone,
        "-n",
        "--configfile",
        "config/studies/ganz2024.yaml",
        "--config",
        "device=per_job",
        CRYOTOME_DATA_ROOT=data_root,
    )
    runs = set(re.findall(r"results/predictions/\S+?\.csv", said))
    mine = {path for path in runs if "head=endtoend_last" not in path}
    assert len(mine) == 585
    assert sum("head=endtoend/" in path for path in mine) == 65
    assert jobs(said)["train_endtoend"] == 2 * 5 + 25  # networks that are kept
    assert jobs(said)["train_endtoend_smaller"] == 2 * 3 * 5
    assert jobs(said)["embed"] == jobs(said)["check_precision"] == 16
    assert jobs(said)["probe"] == 8 * 2  # every fraction and fold of a scheme at once
    assert jobs(said)["probe_whole"] == 8 * 5
    assert not re.search(r"demo_|_random", said), "something of the demo leaks in"


def test_each_combination_can_be_asked_for_by_name(clone, data_root):
    site = {"CRYOTOME_DATA_ROOT": data_root}
    ganz = ["--configfile", "config/studies/ganz2024.yaml", "--config", "device=per_job", "--"]
    base = "results/predictions/ccmct/random/view="
    one = plan(
        clone,
        *ganz,
        f"{base}paper-fp16/model=uni/head=linear_probe/fraction=0.01/fold=3.csv",
        **site,
    )
    assert one == {
        "read_cells": 1, "cut_patches": 1, "audit": 1, "embed": 1, "check_precision": 1, "split_cells": 20, "probe": 1,
    }  # fmt: skip
    other = plan(
        clone,
        *ganz,
        f"{base}patches/model=resnet50_imagenet/head=endtoend_last/fraction=0.01/fold=3.csv",
        **site,
    )
    assert other == {
        "read_cells": 1, "cut_patches": 1, "audit": 1, "split_cells": 1,
        "train_endtoend_smaller": 1,
    }  # fmt: skip


def test_a_real_study_without_gpu_stops_before_planning(clone, data_root):
    said = snakemake(
        clone,
        "-n",
        "--configfile",
        "config/studies/ganz2024.yaml",
        check=False,
        CRYOTOME_DATA_ROOT=data_root,
        CUDA_VISIBLE_DEVICES="",
    )
    assert "has no GPU: the networks of study 'ganz2024' take about" in said
    assert "Job stats" not in said


def test_missing_data_name_the_way_out(clone, tmp_path):
    said = snakemake(
        clone,
        "-n",
        "--configfile",
        "config/studies/amibr.yaml",
        check=False,
        CRYOTOME_DATA_ROOT=str(tmp_path),
    )
    assert "AMI-BR.csv does not exist" in said
    assert "make data STUDY=amibr" in said


def test_a_misspelt_config_key_stops_with_its_name(clone):
    (clone / "misspelt.yaml").write_text(yaml.dump(SMALL | {"fraction": [1.0]}), encoding="utf-8")
    said = snakemake(clone, "-n", "--configfile", "misspelt.yaml", check=False)
    assert re.search(r"misspelt.yaml.* study 'small', top level: .*'fraction' was unexpected", said)


def test_planning_imports_no_torch(clone):
    lines = "import sys, runpy; sys.argv = ['snakemake', '-n', '--quiet', 'all']\n"
    lines += "try:\n    runpy.run_module('snakemake', run_name='__main__')\n"
    lines += "except SystemExit as end:\n    assert not end.code, end.code\n"
    lines += "print('torch' in sys.modules, 'cryotome.study.study' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", lines], cwd=clone, capture_output=True, encoding="utf-8"
    )
    assert done.stdout.splitlines()[-1] == "False True", done.stdout + done.stderr


def test_on_slurm_jobs_go_where_the_site_says_whatever_else_is_configured(clone):
    """Placement does not depend on `--config`, which replaces what a profile says there."""
    (clone / "config" / "site.yaml").write_text(
        "slurm_partition: short\nslurm_account: lab\n", encoding="utf-8"
    )
    ask = ["-n", "--profile", "slurm", "results/table2.csv"]

    def training(*more: str) -> str:
        said = snakemake(clone, *ask, *more).split("\nrule train_endtoend:")[1]
        return re.search("resources: (.*)", said)[1]

    try:
        assert training().endswith("gpu=1, slurm_account=lab, slurm_partition=short")
        assert "gpu=0, slurm_account=lab" in training("--config", "device=cpu")
        assert "gpu=1, slurm_account=lab" in training("--config", "shards=8")
        kept = training("--set-resources", "train_endtoend:slurm_partition=other")
        assert "slurm_partition=other" in kept
    finally:
        (clone / "config" / "site.yaml").unlink()


@pytest.mark.parametrize("profile", ["local", "slurm"])
def test_profiles_are_found_from_the_root_of_a_clone(clone, profile):
    assert plan(clone, "--profile", profile)["all"] == 1


def test_every_rule_is_listed_with_a_docstring(clone):
    listed = snakemake(clone, "--list-rules")
    rules = set(
        re.findall(
            r"^(?:use )?rule (\w+)",
            "".join(p.read_text(encoding="utf-8") for p in (ROOT / "workflow/rules").glob("*.smk")),
            re.M,
        )
    )
    for rule in rules | {"all"}:
        assert re.search(rf"^{rule} \([A-Z][^{{}}]+\.\)$", listed, re.M), rule


def test_a_study_of_the_whole_ladder_plans(clone):
    """Three domains: random, no_overlap, slide_grouped and three left out, each of them twice."""
    (clone / "ladder.yaml").write_text(yaml.dump(SMALL | ROIS), encoding="utf-8")
    planned = plan(clone, "--configfile", "ladder.yaml")
    assert planned["split_cells"] == 12
    assert planned["probe"] == 3 * 3  # the schemes with fractions
    assert planned["probe_whole"] == 3 * 9
    assert planned["score_row"] == 3 * 3  # for Figure 1
    assert planned["place_windows"] == planned["audit"] == planned["cut_patches"] == 1
    assert planned["audit_splits"] == 12
    assert planned["leakage_ladder"] == 1
    ask = ["--configfile", "ladder.yaml", "--"]
    folder = "results/splits/demo_rois"
    one = plan(clone, *ask, f"{folder}/random/fraction=1.0/fold=0.leakage.csv")
    assert one == {
        "make_demo": 1, "read_cells": 1, "cut_patches": 1, "audit": 1, "place_windows": 1, "split_cells": 1, "audit_splits": 1,
    }  # fmt: skip
    assert "place_windows" not in plan(clone, *ask, f"{folder}/random/fraction=1.0/fold=0.csv")


def test_recalibration_plans_smaller_fractions_of_one_domain_for_itself_alone(clone):
    small = SMALL | {"datasets": ["demo_rois"], "schemes": ["random", "from_*"]}
    (clone / "plain.yaml").write_text(yaml.dump(small), encoding="utf-8")
    asked = small | {"recalibration": {"labels": [0, 20]}}
    (clone / "recalibrated.yaml").write_text(yaml.dump(asked), encoding="utf-8")
    before = plan(clone, "--configfile", "plain.yaml")
    after = plan(clone, "--configfile", "recalibrated.yaml")
    more = {rule: n - before.get(rule, 0) for rule, n in after.items() if n != before.get(rule)}
    assert more == {
        "probe_whole_smaller": 3 * 3,  # rows, domains
        "split_cells": 3 * 2,  # domains, folds
        "recalibrate": 1,
        "copy_to_results": 4,
    }


def test_asking_for_the_partial_table_plans_everything_it_needs(clone):
    planned = plan(clone, "results/studies/demo/table2_partial.csv")
    assert planned["table2_partial"] == 1
    assert planned["train_endtoend"] == 12


def test_a_misspelt_key_is_guessed(clone, tmp_path):
    (tmp_path / "s.yaml").write_text(yaml.dump(SMALL | {"foldz": 3}), encoding="utf-8")
    said = snakemake(clone, "-n", "--configfile", str(tmp_path / "s.yaml"), check=False)
    assert "'foldz' was unexpected). Did you mean 'folds'?" in said


def test_a_folder_that_may_not_be_written_is_said_before_planning(clone, tmp_path):
    folder = checkout(tmp_path / "c")
    (folder / "results").symlink_to("/proc")  # nobody writes there, not even root
    said = snakemake(folder, "-n", check=False)
    assert "You may not write to /proc" in said
