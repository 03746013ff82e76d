"""The template of a study runs as it is, and its comments are the defaults."""

import re

import pandas as pd
import pytest
import yaml
from accidents import checkout
from conftest import ROOT
from small_study import snakemake

TEMPLATE = "config/studies/template.yaml"


def test_the_comments_of_the_template_are_all_defaults_of_the_schema():
    text = (ROOT / TEMPLATE).read_text(encoding="utf-8")
    assert set(yaml.safe_load(text)) == {"study", "datasets", "rows"}
    commented = "\n".join(re.findall(r"^# (\w+: .*)$", text, re.M))
    schema = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text("utf-8"))
    defaults = {k: v["default"] for k, v in schema["properties"].items() if "default" in v}
    assert yaml.safe_load(commented) == defaults


@pytest.mark.study
def test_a_study_from_the_template_makes_a_table_of_the_demos_cells(tmp_path):
    clone = checkout(tmp_path / "clone")
    least = ["--config", "folds=1", "schemes=[random]"]
    snakemake(clone, "--cores", "2", "results/figure1.csv", "--configfile", TEMPLATE, *least)
    table = pd.read_csv(clone / "results" / "figure1.csv")
    assert set(table["model"]) == {"colour_histogram", "efficientnet_lite0"}
    assert table["mean"].between(0.5, 1).all()
