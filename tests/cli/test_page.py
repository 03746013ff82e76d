import json

import pandas as pd
from conftest import CONFIG

from cryotome.cli.page import main, table2_inputs
from cryotome.core.cards import read_yaml
from cryotome.study.checks import checked_study


def test_table_2_is_made_from_the_files_that_its_rule_names(tmp_path):
    study = checked_study(read_yaml(CONFIG / "config.yaml"), CONFIG)
    files = table2_inputs(study, tmp_path, CONFIG)
    assert len(files.predictions) == 3 * 7 * 2  # domains, rows, folds
    assert files.predictions[0] == (
        tmp_path / "predictions/demo_rois/from_breast/view=paper-fp32/model=colour_histogram"
        "/head=ridge/fraction=1.0/fold=0.csv"
    )
    assert files.published.exists()


def test_a_study_of_which_nothing_is_made_has_a_page_that_says_so(tmp_path, capsys):
    page = main("demo", CONFIG, tmp_path / "results")
    assert page.name == "index_partial.html"
    text = page.read_text(encoding="utf-8")
    assert "figure1.csv is missing." in text
    assert "not run yet: snakemake --cores 8" in text
    assert "shows the results so far" in capsys.readouterr().out
    table = pd.read_csv(page.parent / "table2_partial.csv")
    assert table["in_mean"].isna().all()


def test_a_job_that_failed_is_named(tmp_path):
    logs = tmp_path / "results" / "logs" / "embed"
    logs.mkdir(parents=True)
    wildcards = {"dataset": "demo_rois", "view": "paper-fp32", "model": "vit_tiny_random"}
    record = {"rule": "embed", "wildcards": wildcards, "why": "The disk is full.", "log": "x.log"}
    (logs / "x.failed.json").write_text(json.dumps(record), encoding="utf-8")
    text = main("demo", CONFIG, tmp_path / "results").read_text(encoding="utf-8")
    assert "Jobs that failed" in text
    assert "embed: The disk is full." in text
