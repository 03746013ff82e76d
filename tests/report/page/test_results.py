import json
import re

import pytest
from conftest import ROOT
from page_study import study_of

from cryotome.report.page.results import StudyResults
from cryotome.study.gather_facts import page_facts
from cryotome.study.products import RULES


@pytest.fixture
def g(tmp_path) -> StudyResults:
    folder = tmp_path / "results" / "studies" / "invented"
    folder.mkdir(parents=True)
    return StudyResults(folder, page_facts(study_of(3, ["midog2022"])))


def test_every_file_is_said_to_come_from_the_rule_that_makes_it():
    made, home = {}, r"results/studies/\{study\}/([\w/]+\.\w+)\""
    for path in (ROOT / "workflow" / "rules").glob("*.smk"):
        for rule in re.split(
            r"^(?:use rule \w+ as|rule) ", path.read_text(encoding="utf-8"), flags=re.M
        )[1:]:
            output = rule.split("output:")[-1].split("log:")[0]
            names = re.findall(home, output)
            drawn = re.findall(r'figure_files\("results/studies/\{study\}/([\w/]+)"', output)
            names += [f"{name}.{kind}" for name in drawn for kind in ("csv", "pdf", "png")]
            if "{name}.csv" in output:  # several at once
                names += [f"{name}.csv" for name in re.findall(r'"(\w+)"', output)]
            kinds = re.findall(r"\{\{study\}\}/(\w+)\.\{kind\}", output)
            names += [f"{name}.{kind}" for name in kinds for kind in ("pdf", "png")]
            made |= dict.fromkeys(names, re.match(r"\w+", rule)[0])
    assert {name: made.get(name) for name in RULES} == RULES


def test_links_lead_from_the_page_to_the_file(g):
    assert g.source("table2.csv").href == "../../studies/invented/table2.csv"
    beside = g.elsewhere(g.results / "cells" / "d.csv", "read_cells")
    assert (beside.href, beside.rule) == ("../../cells/d.csv", "read_cells")
    page = g.folder / "index.html"
    assert (page.parent / "../../cells/d.csv").resolve() == g.results / "cells" / "d.csv"


def test_a_file_that_is_missing_names_rule_reason_and_command(g):
    (gap,) = g.missing("figure1.csv")
    assert (gap.rule, gap.why) == ("figure1", "not made yet")
    said = "snakemake --configfile THE_CONFIG_OF_invented.yaml --cores 8 "
    assert gap.command == said + str(g.folder / "figure1.csv")
    (g.results / "logs" / "figure1").mkdir(parents=True)
    failure = {"rule": "figure1", "wildcards": {}, "why": "No space.", "log": "x.log", "run": ""}
    (g.results / "logs" / "figure1" / "x.failed.json").write_text(
        json.dumps(failure), encoding="utf-8"
    )
    fresh = StudyResults(g.folder, g.facts)
    assert fresh.missing("figure1.csv")[0].why == "No space."


def test_failures_of_schemes_that_the_study_had_before_are_not_listed(g):
    logs = g.results / "logs" / "split_cells"
    logs.mkdir(parents=True)
    asked = next(iter(g.facts.schemes))
    for scheme in (asked, "another"):
        failure = {
            "rule": "split_cells",
            "wildcards": {"dataset": next(iter(g.facts.domains)), "scheme": scheme},
        }
        failure |= {"why": "No space.", "log": "x.log", "run": ""}
        (logs / f"{scheme}.failed.json").write_text(json.dumps(failure), encoding="utf-8")
    assert [one.wildcards["scheme"] for one in StudyResults(g.folder, g.facts).failed] == [asked]


def test_what_the_study_does_not_make_is_not_missing(g):
    assert g.missing("ladder.csv", "colorectal/table1.csv") == []


def test_an_empty_table_is_none(g):
    (g.folder / "published.csv").write_text("study,table\n", encoding="utf-8")
    assert g.table("published.csv") is None
    assert g.table("table2.csv") is None


def test_notes_are_those_of_the_rows_predictions(g):
    assert g.notes("d", "m", "h") == {}
    place = g.results / "predictions/d/random/view=v/model=m/head=h/fraction=1.0"
    place.mkdir(parents=True)
    (place / "fold=0.json").write_text('{"weights_sha256": "ab"}', encoding="utf-8")
    assert g.notes("d", "m", "h") == {"weights_sha256": "ab"}
    assert g.notes("d", "m", "other") == {}
