import random

import pytest
from tests.evaluation.robustness.planted import planted

from cryotome.evaluation.robustness.indices import one_hot
from cryotome.evaluation.robustness.probe_sweep import _together, measure_nipd
from cryotome.evaluation.robustness.sample import sample_cells


def nipd_of(slides=40, **how):
    cells, x = planted(slides=slides, **how)
    table, _ = sample_cells(cells, {}, "domain", neighbours=3, most=10**6)
    return measure_nipd(x, table)


def test_a_confounder_that_shines_costs_a_probe_its_skill_and_one_that_does_not_costs_little():
    shining = nipd_of(of_class=1.5, of_confounder=3)
    dark = nipd_of(of_class=1.5, of_confounder=0)
    assert shining < dark - 0.1
    assert dark == pytest.approx(0, abs=0.15)


def test_identity_alone_has_no_skill_to_lose():
    cells, _ = planted(of_class=0, of_confounder=0, slides=40)
    table, _ = sample_cells(cells, {}, "domain", neighbours=3, most=10**6)
    with pytest.raises(ValueError, match="must score above chance"):
        measure_nipd(one_hot(table["confounder"]), table)


def test_few_slides_are_named():
    with pytest.raises(ValueError, match="too few slides with both classes"):
        nipd_of(slides=6, of_class=1, of_confounder=1)


def test_both_classes_share_the_order_of_their_slides():
    """Then a slide that trains with one class cannot test with the other."""
    slides = ["a", "a", "b", "b", "c", "c"]
    cells = [[[[0], [2], [4]], [[1], [3], [5]]]]
    first, second = _together(slides)(cells, random.Random(3))[0]
    assert [slides[row] for (row,) in first] == [slides[row] for (row,) in second]
    assert {row for (row,) in first} == {0, 2, 4}
