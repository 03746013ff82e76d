"""The template of a study runs as it is, and its comments are the defaults."""

import re

import pandas as pd
import yaml
from conftest import ROOT
from tests.workflow.test_workflow import checkout, snakemake

TEMPLATE = "config/studies/template.yaml"


def test_the_comments_of_the_template_are_all_defaults_of_the_schema():
    text = (ROOT / TEMPLATE).read_text(encoding="utf-8")
    assert set(yaml.safe_load(text)) == {"study", "datasets", "rows"}
    commented = "\n".join(re.findall(r"^# (\w+: .*)$", text, re.M))
    schema = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text("utf-8"))
    defaults = {k: v["default"] for k, v in schema["properties"].items() if "default" in v}
    assert yaml.safe_load(commented) == defaults


def test_a_study_from_the_template_makes_table_2_of_the_demos_cells(tmp_path):
    clone = checkout(tmp_path / "clone")
    asked = ["results/table2.csv", "--configfile", TEMPLATE, "--config", "folds=1"]
    snakemake(clone, "--cores", "2", *asked, OMP_NUM_THREADS="1")
    table = pd.read_csv(clone / "results" / "table2.csv")
    assert table["study"].unique() == ["template"]
    assert table["model"].tolist() == ["colour_histogram", "resnet10t_random"]
    assert table["in_mean"].between(0.5, 1).all()
