import multiprocessing
import os
import shutil
import signal
from collections import namedtuple

import h5py
import numpy as np
import pytest

from cryotome.core.errors import StoreError
from cryotome.runtime.resume import exclusive_attempt, resumable_store


def begin(folder, rows=6, **passport):
    return resumable_store(
        folder, "x", shape=(rows, 3), dtype="f4", ids=np.arange(rows) + 10, passport=passport
    )


def numbers(first, count):
    return np.arange(first * 3, (first + count) * 3, dtype="f4").reshape(-1, 3)


def test_a_store_grows_in_any_order_and_appears_when_it_is_finished(tmp_path):
    with begin(tmp_path / "partial") as store:
        store.put(4, numbers(4, 2))
        store.put(0, numbers(0, 4))
        assert not (tmp_path / "a.h5").exists()
        store.finish(tmp_path / "a.h5", {"format": "mine"})
    with h5py.File(tmp_path / "a.h5") as file:
        assert (file["x"][:] == numbers(0, 6)).all()
        assert file["id"][:].tolist() == [10, 11, 12, 13, 14, 15]
        assert file["x"].chunks is None
        assert file.attrs["format"] == b"mine"
    assert not (tmp_path / "partial").exists()


def test_finished_rows_outlive_the_process(tmp_path, capsys):
    with begin(tmp_path / "partial") as store:
        store.put(0, numbers(0, 2))
        store.put(4, numbers(4, 1))
    with begin(tmp_path / "partial") as store:
        assert store.finished == 3
        assert store.holds(0, 2)
        assert store.holds(4, 1)
        assert not store.holds(1, 2)
        store.put(2, numbers(2, 2))
        store.put(5, numbers(5, 1))
        store.finish(tmp_path / "a.h5", {})
    assert "resuming after 3 of 6 rows" in capsys.readouterr().err
    with h5py.File(tmp_path / "a.h5") as file:
        assert (file["x"][:] == numbers(0, 6)).all()


def test_rows_of_another_passport_are_cleared_away(tmp_path, capsys):
    with begin(tmp_path / "partial", model="uni") as store:
        store.put(0, numbers(0, 6))
    with begin(tmp_path / "partial", model="virchow") as store:
        assert store.finished == 0
    assert "begun from other inputs or settings" in capsys.readouterr().err


def test_rows_made_from_another_image_do_not_count(tmp_path):
    with begin(tmp_path / "partial") as store:
        store.put(0, numbers(0, 2), "17-1")
    with begin(tmp_path / "partial") as store:
        assert store.holds(0, 2, "17-1")
        assert not store.holds(0, 2, "17-2")


def test_rows_whose_bytes_are_not_those_of_the_journal_do_not_count(tmp_path):
    with begin(tmp_path / "partial") as store:
        store.put(0, numbers(0, 2))
        store.put(2, numbers(2, 2))
    with h5py.File(tmp_path / "partial" / "store.h5", "r+") as file:
        file["x"][1, 1] = -1
    with begin(tmp_path / "partial") as store:
        assert not store.holds(0, 1)
        assert store.holds(2, 2)


def test_a_torn_line_of_the_journal_does_not_count(tmp_path):
    with begin(tmp_path / "partial") as store:
        store.put(0, numbers(0, 2))
        store.put(2, numbers(2, 2))
    journal = tmp_path / "partial" / "journal"
    journal.write_text(journal.read_text(encoding="utf-8")[:-3], encoding="utf-8")
    with begin(tmp_path / "partial") as store:
        assert store.finished == 2


def test_a_disk_without_room_is_said_before_the_work(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")(100, 90, 10)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(StoreError, match=r"store.h5 will have .* GB, and 0.0 GB are free there"):
        begin(tmp_path / "partial").__enter__()


def put_and_die(folder):
    with begin(folder) as store:
        store.put(0, numbers(0, 2))
        store.put(3, numbers(3, 1))
        os.kill(os.getpid(), signal.SIGKILL)


def test_rows_of_a_process_that_was_killed_are_there(tmp_path):
    child = multiprocessing.get_context("spawn").Process(target=put_and_die, args=[tmp_path / "p"])
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    with begin(tmp_path / "p") as store:
        assert store.finished == 3
        assert store.holds(0, 2)
        assert store.holds(3, 1)


def test_what_is_missing_is_said_in_blocks_between_what_is_there(tmp_path):
    with begin(tmp_path, rows=10) as store:
        assert list(store.missing(4)) == [(0, 4), (4, 4), (8, 2)]
        store.put(4, numbers(4, 2))
        assert list(store.missing(4)) == [(0, 4), (6, 4)]


def test_an_attempt_knows_of_one_that_was_killed_and_leaves_nothing(tmp_path):
    with exclusive_attempt(tmp_path / "partial") as crashed:
        assert not crashed
    with pytest.raises(OSError, match="torn"), exclusive_attempt(tmp_path / "partial"):
        raise OSError("torn")  # it ends in order
    assert not (tmp_path / "partial").exists()
    (tmp_path / "partial").mkdir()
    (tmp_path / "partial" / "at_work").touch()
    with exclusive_attempt(tmp_path / "partial") as crashed:
        assert crashed
    assert not (tmp_path / "partial").exists()
