import threading
import time

import pytest

from cryotome.core.prefetch import ahead


def test_the_next_block_is_read_while_one_is_computed_on():
    read, main = [], threading.get_ident()

    def slow(rows):
        assert threading.get_ident() != main
        read.append(rows)
        return rows

    for rows in ahead([(0, 1), (1, 1), (2, 1)], slow):
        time.sleep(0.05)
        assert len(read) == min(rows[0] + 2, 3)


def test_what_cannot_be_read_is_raised_where_it_is_asked_for():
    def read(number):
        if number == 2:
            raise OSError("torn")
        return number

    got = ahead([0, 1, 2, 3], read)
    assert [next(got), next(got)] == [0, 1]
    with pytest.raises(OSError, match="torn"):
        next(got)
