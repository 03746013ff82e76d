"""A few kills with a fixed seed. docs/reliability.md says how to do hundreds of them."""

import random
import sys
from pathlib import Path

import accidents
import pytest

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="finds the processes to kill in /proc"
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """The tiny study, made by a run that nobody disturbed."""
    folder = accidents.tiny(tmp_path_factory.mktemp("accidents") / "whole")
    accidents.run_to_the_end(folder)
    return folder


def test_ten_jobs_that_are_killed_end_in_the_same_numbers(whole, capsys):
    """Jobs are made again and each killed once; some go on from partial work."""
    tally = accidents.over_jobs(whole, 10, random.Random(1592))
    with capsys.disabled():
        print(tally)
    assert tally.kills.total() == 10
    assert tally.gone_on > 0
    assert tally.differing == []


def test_a_whole_study_that_is_killed_ends_in_the_same_files(whole, capsys):
    tally = accidents.over_dag(accidents.tiny, whole, 1, 12, random.Random(3))
    with capsys.disabled():
        print(tally)
    assert tally.kills["whole study"] == 1
    assert tally.compared > 20
    assert tally.differing == []
