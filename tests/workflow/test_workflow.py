"""Jobs that a target plans and a change reruns. Every test here runs snakemake."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import openslide
import pandas as pd
import pytest
import yaml
from accidents import COSTS, checkout
from conftest import ROOT
from PIL import Image

from cryotome.core.import_closure import watched_files
from cryotome.data.patches import patch_view

SNAKEMAKE = str(Path(sys.executable).parent / "snakemake")

TOKEN = "hf_" + "secret" * 6

# One dataset, three rows: seconds of compute, every kind of job but training.
SMALL = {
    "study": "small",
    "datasets": ["demo_slides"],
    "rows": [{"model": "colour_histogram", "head": h} for h in ("linear_probe", "ridge", "knn")],
    "schemes": ["random"],
    "fractions": [0.5, 1.0],
    "folds": 2,
    "view": {"transform": "paper", "precision": "fp32"},
    "precision_check": {"patches": 64, "min_cosine": 0.99, "auroc": 0.05},
    "statistics": {"draws": 200, "alpha": 0.05, "margin": 0.02},
    "reference": {"model": "colour_histogram", "head": "ridge"},
    "figure2": [{"model": "colour_histogram", "head": "ridge"}],
    "device": "auto",
}


def snakemake(folder: Path, *arguments: str, check: bool = True, **environment: str) -> str:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("CRYOTOME_")}
    done = subprocess.run(
        [SNAKEMAKE, "--nocolor", *arguments], cwd=folder, env=kept | environment,
        capture_output=True, encoding="utf-8", timeout=600,
    )  # fmt: skip
    said = done.stdout + done.stderr
    assert not check or done.returncode == 0, said
    return said


def jobs(said: str) -> dict[str, int]:
    """Read the table of planned jobs."""
    table = said.split("Job stats:")[-1].split("Reasons:")[0] if "Job stats:" in said else ""
    return {
        name: int(n) for name, n in re.findall(r"^(\w+)\s+(\d+)$", table, re.M) if name != "total"
    }


def plan(folder: Path, *arguments: str, **environment: str) -> dict[str, int]:
    return jobs(snakemake(folder, "-n", *arguments, **environment))


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkout(tmp_path_factory.mktemp("clone"))


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone in which the small study has run."""
    folder = checkout(tmp_path_factory.mktemp("done"))
    (folder / "small.yaml").write_text(yaml.dump(SMALL), encoding="utf-8")
    snakemake(folder, "--cores", "2", "--configfile", "small.yaml", HF_TOKEN=TOKEN)
    return folder


def test_a_token_in_the_environment_is_in_no_file_of_a_run(done):
    """Neither in logs, passports and tables, nor in what Snakemake itself keeps."""
    files = [path for path in done.rglob("*") if path.is_file()]
    assert len(files) > 200
    assert [path for path in files if TOKEN.encode() in path.read_bytes()] == []


def small(folder: Path, *flags: str, **changes: object) -> dict[str, int]:
    (folder / "changed.yaml").write_text(yaml.dump(SMALL | changes), encoding="utf-8")
    return plan(folder, *flags, "--configfile", "changed.yaml")


def test_the_default_plans_the_demo_and_says_so(clone):
    said = snakemake(clone, "-n", "results/table2.csv")
    assert "study 'demo', 5 rows" in said
    assert "snakemake --configfile config/studies/ganz2024.yaml" in said
    assert jobs(said)["train_endtoend"] == 6  # three domains, two folds


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
    assert jobs(said)["train_endtoend"] == 65
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
        "read_cells": 1, "cut_patches": 1, "audit": 1, "split_cells": 1, "train_endtoend": 1,
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
    assert "has no GPU: about" in said
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


def test_a_clone_and_a_python_below_a_space_work_from_elsewhere_in_any_locale(tmp_path):
    """`snakemake -s PATH/Snakefile -d ELSEWHERE`, where jobs start a Python with a space in its path."""
    clone, elsewhere = checkout(tmp_path / "my clone"), tmp_path / "else where"
    python = clone / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    elsewhere.mkdir()
    python.symlink_to(Path(sys.executable).resolve())
    (clone / ".venv" / "lib").symlink_to(Path(sys.prefix) / "lib")
    shutil.copy(Path(sys.prefix) / "pyvenv.cfg", clone / ".venv")
    done = subprocess.run(
        [python, "-m", "snakemake", "--cores", "1", "-s", "my clone/Snakefile", "-d", "else where",
         "--", "results/cells/demo_rois.csv"],
        cwd=tmp_path, capture_output=True, encoding="utf-8",
        env=os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PWD": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(pd.read_csv(elsewhere / "results/cells/demo_rois.csv")) == 1536


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


def test_a_second_run_has_nothing_to_do(done):
    assert small(done) == {}


def test_adding_a_model_plans_only_its_jobs_and_the_tables(done):
    rows = [*SMALL["rows"], {"model": "resnet10t_random", "head": "ridge"}]
    assert small(done, rows=rows) == {
        "embed": 1, "probe": 1, "score_row": 1, "table1": 1, "compare": 1, "compare_published": 1, "figure1": 1, "plot_learning_curves": 1,
        "error_atlas": 1, "clinical_summary": 1, "summarise_costs": 1, "html_report": 1, "publish_html": 1, "copy_to_results": 25, "all": 1,
    }  # fmt: skip


def test_shards_are_joined_checked_against_fp32_and_a_tighter_limit_stops_the_run(done):
    """A row in bf16: its store in two parts, its precision check, its probe; then limits that nothing can meet."""
    rows = [{"model": "resnet10t_random", "head": "ridge"}]
    study = SMALL | {
        "rows": rows,
        "reference": None,
        "figure2": [dict(rows[0])],
        "view": {"transform": "paper", "precision": "bf16"},
        "study": "lower",
    }
    (done / "lower.yaml").write_text(yaml.dump(study), encoding="utf-8")
    ask = ["--configfile", "lower.yaml", "--config", "shards=2", "--"]
    score = (
        "results/scores/demo_slides/random/view=paper-bf16/model=resnet10t_random/head=ridge.csv"
    )
    folder = "results/embeddings/demo_slides/paper-bf16"
    assert plan(done, *ask, "embed_all_shards") == {"embed_shard": 2, "embed_all_shards": 1}
    snakemake(done, "--cores", "2", *ask, "embed_all_shards")
    shards = done / "results/shards/demo_slides/paper-bf16/resnet10t_random"
    assert sorted(path.name for path in shards.iterdir()) == ["1of2.h5", "2of2.h5"]
    assert plan(done, *ask, score) == {
        "embed": 1, "check_precision": 1, "probe": 1, "score_row": 1,
    }  # fmt: skip
    snakemake(done, "--cores", "2", *ask, score)
    assert list(shards.iterdir()) == []
    report = pd.read_csv(done / folder / "resnet10t_random.parity.csv").set_index("measure")
    assert 0.999 < report.loc["cosine_least", "value"] < 1
    assert plan(done, *ask, score) == {}
    assert "embed_shard" not in plan(done, *ask, "embed_all_shards")
    tight = study | {"precision_check": study["precision_check"] | {"min_cosine": 1}}
    (done / "lower.yaml").write_text(yaml.dump(tight), encoding="utf-8")
    assert plan(done, *ask, score) == {"check_precision": 1}
    said = snakemake(done, "--cores", "2", *ask, score, check=False)
    assert "resnet10t_random.h5 is too far from fp32 (patches 64, cosine_least 0.999" in said


def test_touching_code_cards_and_configs_reruns_nothing(done):
    for path in [
        *done.rglob("*.py"),
        *done.rglob("*.yaml"),
        *done.rglob("*.smk"),
        done / "Snakefile",
    ]:
        os.utime(path)
    assert small(done) == {}


def changed(path: Path, old: str, new: str) -> str:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    return text


def test_editing_the_probe_reruns_probes_and_below_never_an_embedding(done):
    path = done / "workflow/cryotome/learners/probes/probe.py"
    before = changed(path, "CHUNK_ROWS = 4096", "CHUNK_ROWS = 4095")
    try:
        planned = small(done)
    finally:
        path.write_text(before, encoding="utf-8")
    assert planned["probe"] == 3
    assert not {"embed", "cut_patches", "split_cells", "read_cells", "make_demo"} & set(planned)
    assert {"score_row", "compare", "figure1"} <= set(planned)
    assert small(done) == {}  # the edit is undone


@pytest.mark.parametrize(
    "module",
    ["core/metrics", "learners/probes/linear", "report/figures/canvas", "data/splits/cells"],
)
def test_editing_a_module_plans_exactly_the_cheap_rules_that_import_it(done, module):
    """Of the others, only those downstream are planned."""
    path = done / f"workflow/cryotome/{module}.py"
    every = small(done, "--forceall")
    before = changed(path, '"""', '"""Edited. ')
    said = snakemake(done, "-n", "--configfile", "changed.yaml")
    path.write_text(before, encoding="utf-8")
    reasons = re.findall(r"^(?:local)?rule (\w+):\n(?:    .*\n)*?    reason: (.*)$", said, re.M)
    first = {rule for rule, reason in reasons if f"{module}.py" in reason}
    scripts = {path.stem: path for path in (ROOT / "workflow/scripts").glob("*.py")}
    text = "".join(p.read_text(encoding="utf-8") for p in (ROOT / "workflow/rules").glob("*.smk"))
    cheap = set(re.findall(r"^        library\(\"(\w+)\"\)", text, re.M)) & set(every)
    named = {rule: [f.as_posix() for f in watched_files(scripts[rule])] for rule in cheap}
    importing = {rule for rule in cheap if any(f"cryotome/{module}.py" in f for f in named[rule])}
    # Snakemake names another job's new output alone where a rule has both reasons
    assert first <= importing <= {rule for rule, _ in reasons}
    assert first


def test_editing_the_title_of_a_card_reruns_the_tables_only(done):
    path = done / "config" / "models" / "colour_histogram.yaml"
    before = changed(path, "title: Colour histogram", "title: Colours")
    planned = small(done)
    path.write_text(before, encoding="utf-8")
    assert set(planned) == {
        "table1", "compare", "compare_published", "figure1", "plot_learning_curves", "error_atlas", "clinical_summary", "summarise_costs", "html_report",
        "copy_to_results", "publish_html", "all",
    }  # fmt: skip


def test_the_atlas_is_made_and_a_scanner_that_is_named_reruns_it_alone(done):
    folder = done / "results/studies/small/atlas/demo_slides"
    listed, slides = (pd.read_csv(folder / f"{name}.csv") for name in ("sheets", "slides"))
    assert set(listed["scheme"]) == {"random"} and set(listed["fraction"]) == {1.0}
    assert set(slides["synthetic"]) == {True} and len(slides) == 8
    for file in [*listed["file"], *slides["file"]]:
        assert (folder.parents[1] / file).stat().st_size > 1000
    path = done / "config" / "datasets" / "demo_slides.yaml"
    before = path.read_text(encoding="utf-8")
    path.write_text(
        before + "scanners: {noisy: {title: noisy scanner, where: {}}}\n", encoding="utf-8"
    )
    planned = small(done)
    path.write_text(before, encoding="utf-8")
    assert planned == {"error_atlas": 1, "html_report": 1, "publish_html": 1, "all": 1}


def test_editing_a_number_of_a_card_reruns_what_it_decides(done):
    path = done / "config" / "models" / "colour_histogram.yaml"
    before = changed(path, "bins: 16", "bins: 8")
    planned = small(done)
    path.write_text(before, encoding="utf-8")
    assert planned["embed"] == 1
    assert planned["probe"] == 3
    assert "cut_patches" not in planned


def test_every_head_reads_the_same_split(done):
    import json

    hashes = {}
    for path in (done / "results/predictions").rglob("*.json"):
        about = json.loads(path.read_text(encoding="utf-8"))
        hashes.setdefault(path.parts[-2:], set()).add(about["split_sha256"])
    assert len(hashes) == 4
    assert all(len(found) == 1 for found in hashes.values())


def test_the_demos_tables_say_synthetic(done):
    lines = (done / "results" / "intervals.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0].endswith(",synthetic")
    assert all(line.endswith(",True") for line in lines[1:])


def test_two_studies_do_not_overwrite_each_other(done):
    """A smaller study of the same rows, then the first again: all its numbers are unchanged."""

    def everything() -> dict[str, pd.DataFrame]:
        kept = [
            *(done / "results/scores").rglob("*.csv"),
            *(done / "results/studies/small").glob("*.csv"),
            *(done / "results/predictions").rglob("*.csv"),
        ]
        return {str(path): pd.read_csv(path) for path in kept if path.name not in COSTS}

    def stands(table: dict[str, pd.DataFrame]) -> None:
        """Folds are solved together, so that other folds move a score within the tolerance."""
        for path, whole in before.items():
            pd.testing.assert_frame_equal(table[path], whole, rtol=1e-4, atol=1e-4)

    before = everything()
    (done / "other.yaml").write_text(
        yaml.dump(SMALL | {"study": "other", "fractions": [1.0], "folds": 1}), encoding="utf-8"
    )
    snakemake(done, "--cores", "2", "--configfile", "other.yaml")
    stands(everything())
    fold_zero = (
        (done / "results/studies/other/figure1.csv").read_text(encoding="utf-8").splitlines()
    )
    assert len(fold_zero) == 4  # three rows at one fraction
    snakemake(done, "--cores", "2", "--configfile", "small.yaml")
    stands(everything())


@pytest.mark.parametrize("module", ["data/annotations/formats", "data/splits/cells"])
def test_editing_readers_or_splits_reruns_nothing_without_their_recipe(done, module):
    path = done / f"workflow/cryotome/{module}.py"
    before = changed(path, '"""', '"""Another word. ')
    planned = small(done)
    path.write_text(before, encoding="utf-8")
    assert set(planned) <= {
        "audit_splits", "probe", "score_row", "table1", "compare", "compare_published", "figure1", "plot_learning_curves", "error_atlas",
        "clinical_summary", "summarise_costs", "html_report", "copy_to_results", "publish_html", "all",
    }  # fmt: skip


def test_editing_a_domains_title_reruns_no_reading(done):
    path = done / "config" / "datasets" / "demo_slides.yaml"
    before = changed(path, "title: mast cell", "title: mast cells")
    planned = small(done)
    path.write_text(before, encoding="utf-8")
    assert not {"read_cells", "cut_patches", "embed", "split_cells", "probe"} & set(planned)


def test_wrong_counts_stop_the_rule_itself(clone):
    """The rule gets the `expect` of the card."""
    folder = clone.parent / "counted"
    folder.mkdir()
    checkout(folder)
    card = folder / "config" / "datasets" / "demo_slides.yaml"
    card.write_text(
        card.read_text(encoding="utf-8") + "expect: {images: 8, cells: {mast_cell: [1, 1]}}\n",
        encoding="utf-8",
    )
    said = snakemake(folder, "--cores", "1", "results/cells/demo_slides.csv", check=False)
    assert "mast_cell has [" in said
    assert not (folder / "results/cells/demo_slides.csv").exists()


def test_a_table_that_the_study_does_not_make_is_refused(done):
    said = snakemake(
        done, "-n", "--configfile", "small.yaml", "--", "results/table2.csv", check=False
    )
    assert "study 'small' has no scheme that table2.csv is made from" in said


def test_an_audit_made_again_draws_no_split_again_where_nothing_is_dropped(done):
    path = done / "config" / "datasets" / "demo_slides.yaml"
    before = path.read_text(encoding="utf-8")
    path.write_text(before + "audit: {near_px: 30}\n", encoding="utf-8")
    planned = small(done)
    path.write_text(before + "audit: {near: drop}\n", encoding="utf-8")
    dropped = small(done)
    path.write_text(before, encoding="utf-8")
    assert planned == {"audit": 1, "audit_splits": 2, "html_report": 1, "publish_html": 1, "all": 1}
    assert dropped["split_cells"] == 4  # two fractions, two folds
    assert dropped["probe"] == 3
    assert not {"read_cells", "cut_patches", "embed"} & set(dropped)


LADDER = ["random", "no_overlap", "slide_grouped", "except_*"]
LADDER += [f"{scheme}_matched" for scheme in LADDER]
ROIS = {"datasets": ["demo_rois"], "schemes": LADDER, "fractions": [1.0], "folds": 1}


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


@pytest.fixture(scope="module")
def ladder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone in which the ladder of the demo's regions is drawn and audited, and scored twice."""
    folder = checkout(tmp_path_factory.mktemp("ladder"))
    (folder / "ladder.yaml").write_text(yaml.dump(SMALL | ROIS), encoding="utf-8")
    snakemake(folder, "--cores", "2", *ASK, *audited(), *SCORED)
    return folder


ASK = ["--configfile", "ladder.yaml", "--"]
RUNGS = ["random", "no_overlap", "slide_grouped", *(f"except_{d}" for d in ("breast", "lung", "lymphoma"))]  # fmt: skip
SCORED = [
    f"results/scores/demo_rois/{scheme}/view=paper-fp32/model=colour_histogram/head=ridge.csv"
    for scheme in ("except_lung_matched", "random_matched")
]
SLIDES = "results/embeddings/demo_rois/paper-fp32/slide_identity.h5"


def audited() -> list[str]:
    folder = "results/splits/demo_rois"
    return [
        f"{folder}/{scheme}{end}/fraction=1.0/fold=0.leakage.csv"
        for scheme in RUNGS
        for end in ("", "_matched")
    ]


def test_matched_rungs_train_on_one_size_and_say_who_set_it(ladder):
    import json

    folder = ladder / "results/splits/demo_rois"
    about = {
        name: json.loads((folder / name / "fraction=1.0/fold=0.json").read_text(encoding="utf-8"))
        for rung in RUNGS
        for name in (rung, f"{rung}_matched")
    }
    sizes = {name: said["counts"]["train"] for name, said in about.items()}
    common = about["random_matched"]["training_size"]
    assert {sizes[f"{rung}_matched"] for rung in RUNGS} == {common["cells"]}
    assert common["cells"] == min(common["smallest"].values()) <= min(sizes.values())
    assert common["set_by"][0] in RUNGS
    assert all(about[f"{rung}_matched"]["training_size"] == common for rung in RUNGS)
    assert "training_size" not in about["random"]


def test_the_audit_of_the_splits_falls_from_rung_to_rung(ladder):
    pixels, slides = {}, {}
    for path in audited():
        found = pd.read_csv(ladder / path).set_index("measure")["share"]
        name = Path(path).parts[3]
        pixels[name], slides[name] = found["pixels_with_training"], found["on_training_slide"]
    assert pixels["random"] >= pixels["random_matched"] > 0
    assert {pixels[name] for name in pixels if not name.startswith("random")} == {0}
    assert slides["no_overlap"] > 0.9 > slides["slide_grouped"] == 0
    log = ladder / "results/logs/audit_splits/demo_rois.random.fraction=1.0.log"
    assert "random, 1 folds: on_training_slide 1.000" in log.read_text(encoding="utf-8")


def test_a_domain_that_is_left_out_is_scored_without_a_line_for_all(ladder):
    left_out, whole = (pd.read_csv(ladder / path) for path in SCORED)
    places = left_out[["train_domain", "test_domain"]].drop_duplicates().to_numpy().tolist()
    assert places == [["except_lung", "lung"]]
    assert whole["test_domain"].unique().tolist() == ["all", "breast", "lung", "lymphoma"]


def test_a_card_of_a_rung_reruns_every_matched_rung_and_no_other(ladder):
    assert plan(ladder, *ASK, *audited()) == {}
    path = ladder / "config/schemes/slide_grouped.yaml"
    before = changed(path, "validation: 0.2", "validation: 0.3")
    planned = plan(ladder, *ASK, *audited())
    path.write_text(before, encoding="utf-8")
    assert planned == {
        "split_cells": 7,
        "audit_splits": 7,
    }  # slide_grouped, and six that are matched


def test_near_px_of_the_audit_moves_no_window_and_draws_no_split_again(ladder):
    path = ladder / "config/datasets/demo_rois.yaml"
    before = path.read_text(encoding="utf-8")
    path.write_text(before + "audit: {near_px: 30}\n", encoding="utf-8")
    planned = plan(ladder, *ASK, *audited())
    path.write_text(before, encoding="utf-8")
    assert planned == {"audit": 1, "audit_splits": 12}


def test_the_slide_alone_is_embedded_from_the_cells_and_no_other_model_is(ladder):
    assert plan(ladder, *ASK, SLIDES) == {"embed": 1}
    snakemake(ladder, "--cores", "1", *ASK, SLIDES)
    cells = ladder / "results/cells/demo_rois.csv"
    assert plan(ladder, *ASK, SLIDES, *SCORED) == {}
    os.utime(cells)
    assert "embed" not in plan(ladder, *ASK, SLIDES, *SCORED)  # the same content


def test_one_bad_thing_does_not_stop_the_rest(clone, tmp_path):
    """A broken image in one dataset, weights that cannot be fetched in one row of the other."""
    folder = checkout(tmp_path / "c")
    rois, slides = "demo_rois", "demo_slides"
    card = (folder / "config/models/resnet10t_random.yaml").read_text(encoding="utf-8")
    card = card.replace(
        "weights: {random: 0}", "weights: {url: 'http://127.0.0.1:1/w', file: w.pt}"
    )
    (folder / "config/models/lost.yaml").write_text(card, encoding="utf-8")
    study = SMALL | {
        "datasets": [rois, slides],
        "rows": [{"model": m, "head": "ridge"} for m in ("colour_histogram", "lost")],
        "schemes": ["random", "from_*"],
        "fractions": [1.0],
        "folds": 1,
    }
    (folder / "s.yaml").write_text(yaml.dump(study), encoding="utf-8")
    ask = ["--cores", "2", "--configfile", "s.yaml"]
    snakemake(folder, *ask, "--", "results/demo/rois/annotations.json")
    whole = (folder / "results/demo/rois/images/003.tiff").read_bytes()
    (folder / "results/demo/rois/images/003.tiff").write_bytes(whole[:5000])
    said = snakemake(folder, *ask, check=False)
    assert "Jobs failed; what does not need them was made" in said
    assert re.search(r"cut_patches demo_rois: 1 images of 'demo_rois' gave no patches", said)
    assert "003.tiff cannot be read" in said
    assert re.search(
        r"embed demo_slides, paper-fp32, lost: The weights of lost .* put w.pt at", said, re.I
    )
    ridge = (
        "results/predictions/demo_slides/random/view=paper-fp32/model=colour_histogram/head=ridge"
    )
    assert (folder / ridge / "fraction=1.0/fold=0.csv").exists()
    assert not (folder / "results/studies/small/table2.csv").exists()
    table = pd.read_csv(folder / "results/studies/small/table2_partial.csv").set_index("model")
    assert table.loc["colour_histogram", "why"].startswith("cut_patches: 1 images of 'demo_rois'")
    # once fixed, the same command fails for the weights alone, and the table says so
    (folder / "results/demo/rois/images/003.tiff").write_bytes(whole)
    said = snakemake(folder, *ask, check=False)
    assert "resuming after" in said
    table = pd.read_csv(folder / "results/studies/small/table2_partial.csv").set_index("model")
    assert pd.isna(table.loc["colour_histogram", "why"])
    assert table.loc["colour_histogram", ["in_found", "out_found"]].tolist() == [3, 6]
    assert 0 < table.loc["colour_histogram", "in_mean"] < 1
    assert "The weights of lost" in table.loc["lost", "why"]
    assert table.loc["lost", ["in_found", "out_found"]].tolist() == [0, 0]
    assert not (folder / "results/studies/small/table2.csv").exists()


def test_asking_for_the_partial_table_plans_everything_it_needs(clone):
    planned = plan(clone, "results/studies/demo/table2_partial.csv")
    assert planned["table2_partial"] == 1
    assert planned["train_endtoend"] == 6


def test_a_misspelt_key_is_guessed(clone, tmp_path):
    (tmp_path / "s.yaml").write_text(yaml.dump(SMALL | {"foldz": 3}), encoding="utf-8")
    said = snakemake(clone, "-n", "--configfile", str(tmp_path / "s.yaml"), check=False)
    assert "'foldz' was unexpected). Did you mean 'folds'?" in said


def test_a_folder_that_may_not_be_written_is_said_before_planning(clone, tmp_path):
    folder = checkout(tmp_path / "c")
    (folder / "results").symlink_to("/proc")  # nobody writes there, not even root
    said = snakemake(folder, "-n", check=False)
    assert "You may not write to /proc" in said


POINTS = """x,y,label,filename
1043.3,1518.7,nucleus,cmu_small_region.svs
1153.3,1784.7,nucleus,cmu_small_region.svs
1193.3,1914.7,nucleus,cmu_small_region.svs
833.3,1773.3,none,cmu_small_region.svs
740.0,1666.7,none,cmu_small_region.svs
3.0,1500.0,none,cmu_small_region.svs
341.2,538.6,nucleus,kidney-48-5.tif
373.3,538.6,nucleus,kidney-48-5.tif
746.5,320.0,none,kidney-48-5.tif
1163.5,103.4,none,kidney-48-5.tif
"""


def test_a_table_of_points_on_real_slides_at_native_and_at_a_quarter_micron(shared, tmp_path):
    """A slide with 0.499 µm/px in its tags, and a flat TIFF whose resolution its card gives."""
    folder, mine = checkout(tmp_path / "c"), tmp_path / "data" / "mine"
    mine.mkdir(parents=True)
    (mine / "slides").symlink_to(shared / "slides")
    (mine / "points.csv").write_text(POINTS, encoding="utf-8")
    card = {
        "title": "Points",
        "source": "placed by hand",
        "reader": "table",
        "annotations": "mine/points.csv",
        "images": "mine/slides",
        "classes": [{"name": "none", "id": "none"}, {"name": "nucleus", "id": "nucleus"}],
        "domains": {"all": {"title": "all", "where": {}}},
        "patch": {"side": 64, "resolution": "native", "border": "reflect"},
    }
    (folder / "config/datasets/native.yaml").write_text(yaml.dump(card), encoding="utf-8")
    quarter = {"extends": "native", "patch": {"resolution": 0.25}}
    (folder / "config/datasets/quarter.yaml").write_text(yaml.dump(quarter), encoding="utf-8")
    rows = [{"model": "colour_histogram", "head": "ridge"}]
    study = SMALL | {
        "datasets": ["native", "quarter"],
        "rows": rows,
        "fractions": [1.0],
        "folds": 1,
    }
    (folder / "s.yaml").write_text(yaml.dump(study | {"device": "cpu"}), encoding="utf-8")
    ask = ["--cores", "2", "--configfile", "s.yaml"]
    root = {"CRYOTOME_DATA_ROOT": str(tmp_path / "data")}
    said = snakemake(folder, *ask, check=False, **root)
    assert "kidney-48-5.tif does not say how many µm a pixel measures. Write `mpp: 0.25`" in said
    with open(folder / "config/datasets/quarter.yaml", "a", encoding="utf-8") as file:
        file.write("mpp: 0.5\n")
    snakemake(folder, *ask, **root)
    native, quarter = (
        patch_view(folder / "results/patches" / f"{name}.h5", {"all": list(range(10))})["all"]
        for name in ("native", "quarter")
    )
    slide = openslide.OpenSlide(shared / "slides" / "cmu_small_region.svs")
    skin = slide.read_region((0, 0), 0, slide.dimensions).convert("RGB")
    kidney = Image.open(shared / "slides" / "kidney-48-5.tif")
    assert (native[0] == np.asarray(skin.crop((1011, 1486, 1075, 1550)))).all()
    cells = pd.read_csv(folder / "results/cells/native.csv")
    for cell, patch in zip(cells.to_dict("records"), quarter, strict=True):
        image, mpp = (kidney, 0.5) if "kidney" in cell["image"] else (skin, 0.499)
        x, y, reach = cell["x"], cell["y"], 32 * 0.25 / mpp
        if x > reach:
            box = (x - reach, y - reach, x + reach, y + reach)
            due = np.asarray(image.resize((64, 64), Image.Resampling.BICUBIC, box=box), float)
            assert np.abs(due - patch).mean() < 1, cell
    audit = pd.read_csv(folder / "results/audits/native.csv")
    assert audit["finding"].tolist() == ["border"]
    assert (folder / "results/audits/quarter.png").stat().st_size > 10_000
