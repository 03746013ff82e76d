import errno

import pytest

from cryotome.core.errors import WeightsError
from cryotome.runtime.failures import (
    Failure,
    describe_failures,
    failures,
    group_failures,
    is_user_error,
    reason,
    record_failure,
)


def fail(log, error, **wildcards):
    log.parent.mkdir(parents=True, exist_ok=True)
    with pytest.raises(type(error)), record_failure(log, "embed", wildcards):
        raise error


def test_a_failed_job_leaves_its_reason_and_a_good_one_takes_it_away(tmp_path):
    log = tmp_path / "embed" / "d.uni.log"
    fail(log, WeightsError("put the file at weights/uni"), dataset="d", model="uni")
    (failure,) = failures(tmp_path)
    assert failure.rule == "embed"
    assert failure.why == "put the file at weights/uni"
    assert failure.log == str(log)
    with record_failure(log, "embed", {}):
        pass
    assert failures(tmp_path) == []


def test_a_killed_job_leaves_a_record_too(tmp_path):
    (tmp_path / "embed").mkdir()
    begun = record_failure(tmp_path / "embed" / "a.log", "embed", {"dataset": "d"})
    begun.__enter__()  # and never leaves
    assert failures(tmp_path)[0].why == "It was killed, or still runs."


def test_a_torn_record_hides_no_other(tmp_path):
    fail(tmp_path / "embed" / "a.log", WeightsError("no"), dataset="d")
    (tmp_path / "embed" / "b.failed.json").write_text("{", encoding="utf-8")
    assert [failure.why for failure in failures(tmp_path)] == ["no"]


def test_a_failure_explains_what_lies_below_it(tmp_path):
    fail(tmp_path / "embed" / "a.log", WeightsError("no"), dataset="d", model="uni")
    (failure,) = failures(tmp_path)
    assert failure.matches({"dataset": "d", "model": "uni", "head": "probe", "fold": "1"})
    assert not failure.matches({"dataset": "d", "model": "virchow", "head": "probe"})


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, r"The disk is full"),
        (errno.EACCES, r"results/a.csv: Permission denied. You may not write"),
        (errno.EROFS, r"read-only"),
    ],
)
def test_what_a_user_can_mend_on_the_disk_is_said_in_a_sentence(number, said):
    import os
    import re

    error = OSError(number, os.strerror(number), "results/a.csv")
    assert is_user_error(error)
    assert re.search(said, reason(error))


def test_want_of_memory_is_said_in_a_sentence():
    assert is_user_error(MemoryError())
    assert reason(MemoryError("8 GiB")).startswith("There is not enough memory (8 GiB). Run again")


def test_other_errors_keep_their_type(tmp_path):
    assert not is_user_error(KeyError("x"))
    assert reason(KeyError("x")) == "KeyError: 'x'"


def test_failures_of_one_reason_are_one_line_that_lists_what_differs():
    failed = [
        Failure(
            "probe",
            {"dataset": "d", "model": f"m{n}"},
            f"results/m{n}.h5 is stale. Rerun.",
            f"m{n}.log",
        )
        for n in range(300)
    ]
    other = Failure("probe", {"dataset": "d", "model": "m1"}, "out of memory", "x.log")
    groups = group_failures([*failed, other])
    assert [len(alike) for alike in groups] == [300, 1]
    assert describe_failures(groups[0]) == (
        "probe, 300 jobs (d; model m0, m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11 and 288 more): "
        "results/m0.h5 is stale. Rerun.  [first: m0.log]"
    )
    assert describe_failures(groups[1]) == "probe d, m1: out of memory  [x.log]"
