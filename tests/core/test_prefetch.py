import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from cryotome.core.prefetch import prefetch


def test_the_next_block_is_read_while_one_is_computed_on():
    read, main = [], threading.get_ident()

    def slow(rows):
        assert threading.get_ident() != main
        read.append(rows)
        return rows

    for rows in prefetch(slow, [(0, 1), (1, 1), (2, 1)]):
        time.sleep(0.05)
        assert len(read) == min(rows[0] + 2, 3)


def test_what_cannot_be_read_is_raised_where_it_is_asked_for():
    def read(number):
        if number == 2:
            raise OSError("torn")
        return number

    got = prefetch(read, [0, 1, 2, 3])
    assert [next(got), next(got)] == [0, 1]
    with pytest.raises(OSError, match="torn"):
        next(got)


def test_work_is_done_ahead_and_comes_in_order():
    begun = []

    def work(item):
        begun.append(item)
        return item * 10

    with ThreadPoolExecutor(1) as pool:
        results = prefetch(work, range(6), pool, depth=2)
        assert next(results) == 0
        while len(begun) < 3:
            time.sleep(0.001)
        assert begun[:3] == [0, 1, 2]
        assert list(results) == [10, 20, 30, 40, 50]
