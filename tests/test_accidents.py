"""A few kills with a fixed seed. `python tests/accidents.py jobs --kills 30` does more of them."""

import random
import sys

import accidents
import pytest
import yaml
from conftest import ROOT

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="finds the processes to kill in /proc"
)


def test_jobs_that_are_killed_end_in_the_same_numbers(tmp_path, capsys):
    """Jobs of the demo, each made again and killed once; some go on from partial work."""
    if not (ROOT / "results" / "studies" / "demo" / "table2.csv").exists():
        pytest.skip("the demo has not been made: run `make demo` first")
    whole = accidents.unbroken(tmp_path / "whole")
    tally = accidents.over_jobs(whole, 5, random.Random(528))
    with capsys.disabled():
        print(tally)
    assert tally.late < 5
    assert tally.gone_on > 0
    assert tally.differing == []
    assert not list((whole / "results").rglob("*.part"))


def test_a_whole_study_killed_twice_ends_in_the_same_files(tmp_path, monkeypatch):
    from test_workflow import SMALL

    study = yaml.dump(SMALL | {"fractions": [1.0], "folds": 1})
    monkeypatch.setattr(accidents, "SNAKEMAKE", [*accidents.SNAKEMAKE, "--configfile", "s.yaml"])
    for name in ("whole", "broken"):
        accidents.checkout(tmp_path / name)
        (tmp_path / name / "s.yaml").write_text(study)
    accidents.run_to_the_end(tmp_path / "whole")
    for victim, instant in (("everything", 4.0), ("snakemake", 6.0)):
        accidents.break_off(tmp_path / "broken", [], instant, victim, tmp_path / "broken")
    accidents.run_to_the_end(tmp_path / "broken")
    reference = accidents.numbers(tmp_path / "whole")
    assert len(reference) > 10
    assert accidents.differences(tmp_path / "broken", reference) == []
