"""Processes killed at random, a few with a fixed seed; docs/reference/reliability.md describes how to run hundreds."""

import random
import shutil
import sys

import accidents
import pytest

pytestmark = [
    pytest.mark.fault,
    pytest.mark.skipif(
        not sys.platform.startswith("linux"), reason="finds the processes to kill in /proc"
    ),
]


def test_ten_jobs_that_are_killed_end_in_the_same_numbers(tiny_study, tmp_path, capsys):
    """Jobs run again and each is killed once; some resume from partial work."""
    folder = shutil.copytree(tiny_study, tmp_path / "clone", symlinks=True)
    tally = accidents.over_jobs(folder, 10, random.Random(1592))
    with capsys.disabled():
        print(tally)
    assert tally.kills.total() == 10
    assert tally.resumed > 0
    assert tally.differing == []


def test_a_whole_study_that_is_killed_ends_in_the_same_files(tiny_study, capsys):
    tally = accidents.over_dag(accidents.tiny, tiny_study, 1, 12, random.Random(3))
    with capsys.disabled():
        print(tally)
    assert tally.kills["whole study"] == 1
    assert tally.compared > 20
    assert tally.differing == []
