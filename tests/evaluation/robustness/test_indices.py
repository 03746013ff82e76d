import numpy as np
import pandas as pd
import pytest
from croma import RI, CRoMa, MaRI
from tests.evaluation.robustness.planted import planted

from cryotome.evaluation.robustness.indices import (
    draw_margins,
    measure_indices,
    one_hot,
    typed_neighbours,
)
from cryotome.evaluation.robustness.sample import sample_cells
from cryotome.evaluation.statistics.slide_pairs import resample_slides

K = 3


def measured(cells, x, confounder="domain", draws=100):
    table, _ = sample_cells(cells, {}, confounder, neighbours=K, most=10**6)
    counts = resample_slides(table["slide"].nunique(), draws=draws, seed=0)
    return table, measure_indices(x[table.index], table, counts, neighbours=K)


@pytest.mark.filterwarnings("ignore:.*RI/MaRI")
@pytest.mark.parametrize("confounder", ["slide", "domain"])
def test_the_values_are_those_of_croma(confounder):
    cells, x = planted(of_class=1, of_confounder=1, of_slide=0.5)
    table, found = measured(cells, x, confounder)
    how = {"manifest": table, "confounder_column": "confounder"}
    ri, mari = (kind.compute(x[table.index], k_candidates=[K], **how) for kind in (RI, MaRI))
    margins = CRoMa.compute(x[table.index], m=K, **how)
    assert found["RI"].value == pytest.approx(ri.value, abs=1e-12)
    assert found["MaRI"].value == pytest.approx(mari.value, abs=1e-12)
    assert (found["RI"].support, found["MaRI"].support) == (ri.support, mari.support)
    assert found["CRoMa"].value == margins.value
    assert found["CRoMa tail"].value == margins.ltm_alpha


def test_every_slide_once_gives_the_value_and_a_slide_more_often_another():
    cells, x = planted(of_class=1, of_confounder=1)
    table, _ = sample_cells(cells, {}, "domain", neighbours=K, most=10**6)
    counts = np.ones((2, table["slide"].nunique()))
    counts[1, 0] = 5
    found = measure_indices(x[table.index], table, counts, neighbours=K)
    for name in ("RI", "MaRI"):
        assert found[name].draws[0] == pytest.approx(found[name].value)
    for index in found.values():
        assert index.draws[0] != pytest.approx(index.draws[1])
    place = np.unique(table["slide"], return_inverse=True)[1]
    whole, _ = draw_margins(typed_neighbours(x[table.index], table, K), place, counts)
    assert np.median(whole) == pytest.approx(found["CRoMa"].value, abs=1e-6)
    assert np.mean(found["CRoMa"].draws) == pytest.approx(found["CRoMa"].value)


def test_cells_of_a_slide_that_is_not_drawn_are_no_neighbours():
    """Three cells: a's SO neighbours lie on b and c; without b only that on c is left."""
    far = np.array([[0.2, 0.6]])
    so, os = (far, np.array([[1, 2]])), (np.array([[0.5, 0.5]]), np.array([[1, 2]]))
    place, counts = np.array([0, 1, 2]), np.array([[1, 1, 1], [1, 0, 2], [1, 0, 0]], dtype=float)
    typed = [(np.repeat(d, 3, axis=0), np.repeat(near, 3, axis=0)) for d, near in (so, os)]
    whole, without, alone = (values[:1].tolist() for values in draw_margins(typed, place, counts))
    assert whole == [pytest.approx(0.1 / 0.9)]
    assert without == [pytest.approx(-0.1 / 1.1)]
    assert alone == []


def test_class_and_confounder_pull_every_index_apart():
    low, middle, high = (
        measured(*planted(of_class=a, of_confounder=b))[1] for a, b in ((0, 3), (1, 1), (3, 0))
    )
    for name in low:
        assert low[name].value < middle[name].value < high[name].value
        assert np.nanquantile(low[name].draws, 0.975) < np.nanquantile(high[name].draws, 0.025)


@pytest.mark.parametrize("confounder", ["slide", "domain"])
def test_identity_alone_is_at_the_worst_end_of_every_index(confounder):
    cells, _ = planted(of_class=0, of_confounder=0)
    table, _ = sample_cells(cells, {}, confounder, neighbours=K, most=10**6)
    counts = resample_slides(table["slide"].nunique(), draws=50, seed=0)
    found = measure_indices(one_hot(table["confounder"]), table, counts, neighbours=K)
    assert {name: index.value for name, index in found.items()} == {
        "RI": 0, "MaRI": 0, "CRoMa": -1, "CRoMa tail": -1,
    }  # fmt: skip
    for index in found.values():
        assert set(index.draws[np.isfinite(index.draws)]) == {index.value}


def test_equal_embeddings_of_all_cells_are_not_measured():
    cells, x = planted(of_class=0, of_confounder=0)
    with pytest.raises(RuntimeError, match="zero margin denominator"):
        measured(cells, np.ones_like(x))


def test_identity_is_one_axis_a_value():
    assert one_hot(pd.Series(["b", "a", "b"])).tolist() == [[0, 1], [1, 0], [0, 1]]
