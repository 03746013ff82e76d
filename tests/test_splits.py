from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from conftest import CONFIG

from cryotome.cards import load_card
from cryotome.cells import read_cells
from cryotome.errors import SplitError
from cryotome.splits import draw_split, rows_of


def draw(cells, scheme="random", fraction="1.0", fold=0):
    name = "from_domain" if scheme.startswith("from_") else scheme
    return draw_split(
        cells, load_card(CONFIG, "schemes", name), scheme=scheme, fraction=fraction, fold=fold
    )


def sizes(split) -> tuple[int, int, int]:
    counts = split.roles["role"].value_counts()
    return tuple(int(counts.get(role, 0)) for role in ("train", "validation", "test"))


def ids(split, role) -> set[int]:
    return set(split.roles.loc[split.roles["role"] == role, "id"])


def many(count: int) -> pd.DataFrame:
    label = np.arange(count) % 2
    return pd.DataFrame(
        {"id": np.arange(count), "slide": np.arange(count) % 32, "domain": "a", "label": label}
    )


@pytest.mark.parametrize(
    ("count", "n_test", "drawn_train"),
    [
        (20_552, 4_110, {"0.001": (16, 12), "0.01": (164, 131), "0.1": (1_644, 1_315), "1.0": (16_442, 13_153)}),
        (72_845, 14_569, {"0.001": (58, 46), "0.01": (582, 465), "0.1": (5_827, 4_661), "1.0": (58_276, 46_620)}),
    ],
)  # fmt: skip
def test_random_has_the_counts_of_the_contract(count, n_test, drawn_train):
    for fraction, (drawn, train) in drawn_train.items():
        assert sizes(draw(many(count), fraction=fraction)) == (train, drawn - train, n_test)


def test_roles_do_not_overlap_and_the_test_set_does_not_depend_on_the_fraction(cells):
    small, large = draw(cells, fraction="0.1"), draw(cells)
    assert not large.roles["id"].duplicated().any()
    assert ids(small, "test") == ids(large, "test")


def test_fractions_are_nested(cells):
    chain = [ids(draw(cells, fraction=f), "train") for f in ("0.01", "0.1", "0.5", "1.0")]
    assert all(small < large for small, large in pairwise(chain))


def test_folds_differ_and_repeat_exactly(cells):
    assert draw(cells, fold=0).roles.equals(draw(cells, fold=0).roles)
    assert ids(draw(cells, fold=0), "test") != ids(draw(cells, fold=1), "test")


def test_a_tiny_fraction_that_loses_a_class_is_drawn_stratified_and_says_so(cells):
    rare = cells.assign(label=(cells["id"] % 50 == 0).astype(int))
    said = set()
    for fold in range(5):
        split = draw(rare, fraction="0.01", fold=fold)
        labels = rare.set_index("id")["label"]
        assert sizes(split)[:2] == (6, 2)
        assert labels[list(ids(split, "train"))].nunique() == 2
        assert ids(split, "train") <= ids(draw(rare, fraction="0.1", fold=fold), "train")
        said.add(split.drawn)
    assert "stratified" in said
    assert draw(rare).drawn == "random"


def test_a_fraction_that_holds_one_cell_is_an_error(cells):
    with pytest.raises(SplitError, match="1 training cells cannot hold both classes"):
        draw(cells, fraction="0.0025")


def test_no_slide_is_on_two_sides_of_a_grouped_split(cells):
    slide = cells.set_index("id")["slide"]
    tested = []
    for fold in range(5):
        split = draw(cells, "slide_grouped", fold=fold)
        sides = [set(slide[list(ids(split, role))]) for role in ("train", "validation", "test")]
        assert not (sides[0] & sides[1] or sides[0] & sides[2] or sides[1] & sides[2])
        tested += ids(split, "test")
    assert sorted(tested) == list(range(1000))  # the five parts cover every cell once


def test_grouped_fractions_are_nested(cells):
    small, large = (draw(cells, "slide_grouped", fraction=f) for f in ("0.1", "1.0"))
    assert ids(small, "train") < ids(large, "train")
    assert ids(small, "validation") < ids(large, "validation")


def test_one_slide_cannot_be_grouped(cells):
    with pytest.raises(
        SplitError, match="needs 5 slides; these cells lie on 1. .*name slides in the annotations"
    ):
        draw(cells.assign(slide="only"), "slide_grouped")


def test_a_sixth_grouped_fold_is_an_error(cells):
    with pytest.raises(SplitError, match="has 5 folds; `folds:` of the study asks for more"):
        draw(cells, "slide_grouped", fold=5)


def test_one_domain_trains_and_all_others_test(cells):
    split = draw(cells, "from_left", fold=3)
    domain = cells.set_index("id")["domain"]
    left = int((domain == "left").sum())
    assert {domain[i] for i in ids(split, "train") | ids(split, "validation")} == {"left"}
    inside = {i for i in ids(split, "test") if domain[i] == "left"}
    assert len(inside) == left // 5
    assert ids(split, "test") - inside == set(domain.index[domain == "right"])
    assert len(split.roles) == 1000


def test_an_unknown_domain_is_named(cells):
    with pytest.raises(SplitError, match="no cell is of domain 'middle'"):
        draw(cells, "from_middle")


def test_midog2022_trains_on_1156_lung_cells(shared):
    card = load_card(CONFIG, "datasets", "midog2022")
    cells = read_cells(shared / card["annotations"], shared, card, "midog2022")
    assert sizes(draw(cells, "from_canine_lung")) == (1_156, 290, 361 + 20_552 - 1_807)


def test_a_store_that_lacks_cells_is_told_how_many():
    assert rows_of(np.array([5, 3, 9]), pd.Series([9, 5])).tolist() == [2, 0]
    with pytest.raises(SplitError, match="lacks 2 cells of the split, first 7"):
        rows_of(np.array([5, 3, 9]), pd.Series([9, 7, 8]))
