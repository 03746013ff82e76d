import json
from dataclasses import asdict

import pandas as pd
from some_facts import some
from tests.study.test_study import study

from cryotome.runtime.job import parse_argument
from cryotome.study.costs.row_jobs import job_facts
from cryotome.study.facts import (
    ContextFacts,
    JobFacts,
    PageFacts,
    RothFacts,
    RowFacts,
    StudyFacts,
)
from cryotome.study.gather_facts import context_facts, page_facts, roth_facts, row_facts


def test_a_script_gets_the_facts_that_a_rule_hands_over_as_plain_values():
    demo = study("demo")
    made = {
        RowFacts: row_facts(demo),
        RothFacts: roth_facts(demo),
        PageFacts: page_facts(demo),
        JobFacts: job_facts(demo),
        ContextFacts: context_facts(study("demo_context")),
    }
    for kind, facts in made.items():
        assert parse_argument(asdict(facts), kind) == facts
        assert parse_argument(json.dumps(asdict(facts)), kind) == facts  # by hand


def test_a_study_of_known_slides_says_what_it_always_said():
    facts = some(StudyFacts, datasets={"a": ""})
    assert (facts.unit, facts.as_unit) == ("slides", "slides as the unit")


def test_unknown_datasets_are_named_where_others_are_known():
    facts = some(StudyFacts, datasets={"a": "", "b": ""}, unknown_slides=["b"])
    assert facts.as_unit == "unit: slides (of b: images, slides not known)"
    alone = some(StudyFacts, datasets={"b": ""}, unknown_slides=["b"])
    assert alone.as_unit == "unit: images, slides not known"


def test_a_notice_names_the_synthetic_columns_where_others_are_real():
    columns = {"slides": {"cohort": ("mine", "auroc"), "external": ("demo", "auroc")}}
    facts = some(RothFacts, columns=columns, datasets={"demo": "Demo"}, notice="synthetic cohort",
                 synthetic_columns={"slides": ["external"]})  # fmt: skip
    assert facts.notice_of(["slides"]) == "synthetic cohort (Demo)"


def test_a_table_says_its_study_what_is_synthetic_and_which_slides_are_unknown():
    facts = some(StudyFacts, study="s", datasets={"a": "", "b": ""}, synthetic=["a"],
                 unknown_slides=["b"])  # fmt: skip
    table = facts.with_study(pd.DataFrame({"dataset": ["a", "b"], "auroc": [0.5, 0.6]}))
    assert list(table) == ["study", "dataset", "auroc", "note", "synthetic"]
    assert table["synthetic"].tolist() == [True, False]
    assert table["note"].tolist() == ["", "images, slides not known"]
