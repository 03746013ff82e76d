"""A whole small study: what it holds, and what a change of it makes again."""

import json
import os
import re
from pathlib import Path

import pandas as pd
import pytest
import yaml
from accidents import COSTS, checkout
from conftest import ROOT
from small_study import SMALL, TOKEN, changed, plan, snakemake

from cryotome.core.import_closure import watched_files

pytestmark = pytest.mark.study


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone in which the small study has run."""
    folder = checkout(tmp_path_factory.mktemp("done"))
    (folder / "small.yaml").write_text(yaml.dump(SMALL), encoding="utf-8")
    snakemake(folder, "--cores", "2", "--configfile", "small.yaml", HF_TOKEN=TOKEN)
    return folder


def small(folder: Path, *flags: str, **changes: object) -> dict[str, int]:
    (folder / "changed.yaml").write_text(yaml.dump(SMALL | changes), encoding="utf-8")
    return plan(folder, *flags, "--configfile", "changed.yaml")


def test_a_token_in_the_environment_is_in_no_file_of_a_run(done):
    """Neither in logs, passports and tables, nor in what Snakemake itself keeps."""
    files = [path for path in done.rglob("*") if path.is_file()]
    assert len(files) > 200
    assert [path for path in files if TOKEN.encode() in path.read_bytes()] == []


def test_a_second_run_has_nothing_to_do(done):
    assert small(done) == {}


def test_adding_a_model_plans_only_its_jobs_and_the_tables(done):
    rows = [*SMALL["rows"], {"model": "resnet10t_random", "head": "ridge"}]
    assert small(done, rows=rows) == {
        "embed": 1, "probe": 1, "score_row": 1, "table1": 1, "compare": 1, "compare_published": 1, "figure1": 1, "plot_learning_curves": 1,
        "error_atlas": 1, "clinical_summary": 1, "summarise_costs": 1, "html_report": 1, "publish_html": 1, "copy_to_results": 27, "all": 1,
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
