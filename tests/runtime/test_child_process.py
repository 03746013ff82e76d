import ctypes
import errno
import os
import signal
import time

import pytest

from cryotome.core.errors import CryotomeError, DataError
from cryotome.runtime.child_process import run_in_process, worker_processes


def count(end):
    yield from range(end)


def who(times):
    for _ in range(times):
        yield os.getpid()


def crash(after):
    yield from range(after)
    ctypes.string_at(0)  # reads address 0: SIGSEGV


def refuse():
    yield 1
    raise DataError("a.tiff is a page of HTML")


def end_by(number):
    yield 1
    os.kill(os.getpid(), number)


def throw(error):
    yield 1
    raise error


def hang():
    yield 1
    time.sleep(60)


def test_a_child_yields_what_the_generator_yields():
    assert list(run_in_process(count, 3)) == [0, 1, 2]
    with worker_processes(1) as run:
        assert list(run(count, 3)) == [0, 1, 2]
        first, second = next(run(who, 1)), list(run(who, 2))
    assert os.getpid() not in [first, *second]
    assert len(set(second)) == 1


def test_a_crash_in_native_code_is_told_and_the_next_call_has_a_child_again():
    with worker_processes(1) as run:
        begun = run(crash, 2)
        assert [next(begun), next(begun)] == [0, 1]
        with pytest.raises(ChildProcessError, match="^SIGSEGV$"):
            next(begun)
        assert list(run(count, 2)) == [0, 1]


def test_an_error_comes_through_with_its_sentence_and_the_child_goes_on():
    with worker_processes(1) as run:
        before = list(run(who, 1))
        with pytest.raises(DataError, match="^a.tiff is a page of HTML$"):
            list(run(refuse))
        assert list(run(who, 1)) == before


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_child_that_was_killed_from_outside_blames_nothing_that_it_read(number):
    said = (
        rf"ended \({number.name}\): killed, probably because memory ran out. Run the same command"
    )
    with worker_processes(1) as run, pytest.raises(CryotomeError, match=said):
        list(run(end_by, number))


@pytest.mark.parametrize(
    "error", [OSError(errno.ESTALE, "lost", "a"), ConnectionResetError("x"), MemoryError("x")]
)
def test_an_error_of_disk_or_memory_comes_through_as_it_is(error):
    with worker_processes(1) as run:
        with pytest.raises(type(error)) as raised:
            list(run(throw, error))
        assert (str(raised.value), list(run(count, 1))) == (str(error), [0])


def test_a_child_that_does_not_begin_ends_the_job_and_blames_nothing(monkeypatch):
    monkeypatch.setenv("CRYOTOME_PATIENCE", "0.01")
    with (
        worker_processes(1) as run,
        pytest.raises(CryotomeError, match="did not start within 0 s: killed"),
    ):
        list(run(count, 1))


def test_a_child_that_does_not_answer_is_given_up(monkeypatch):
    with worker_processes(1) as run:
        list(run(count, 1))  # it has started
        monkeypatch.setenv("CRYOTOME_PATIENCE", "2")
        with pytest.raises(ChildProcessError, match="^no answer for 1 s$"):
            list(run(hang))


def test_a_generator_that_is_given_up_does_not_disturb_the_next():
    with worker_processes(1) as run:
        begun = run(count, 1000)
        next(begun)
        begun.close()
        assert list(run(count, 2)) == [0, 1]
