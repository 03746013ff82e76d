from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from conftest import CONFIG, windows_of

from cryotome.core.cards import load_card
from cryotome.core.errors import SplitError, StoreError
from cryotome.data.cells import read_cells
from cryotome.data.splits.cells import draw_split, indices_of


def draw(cells, scheme="random", fraction="1.0", fold=0, **how):
    prefix = scheme.split("_")[0]
    card = load_card(
        CONFIG, "schemes", f"{prefix}_domain" if prefix in ("from", "except") else scheme
    )
    return draw_split(cells, card, scheme=scheme, fraction=fraction, fold=fold, **how)


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


@pytest.mark.parametrize("fraction", ["0.001", "0.01", "0.1", "1.0"])
def test_independent_draws_have_the_same_counts_and_one_test_set(fraction):
    cells = many(20_552)
    mine, whole = (draw(cells, "random_independent", f) for f in (fraction, "1.0"))
    assert sizes(mine) == sizes(draw(cells, fraction=fraction))
    assert ids(mine, "test") == ids(whole, "test")
    assert not mine.roles["id"].duplicated().any()


def test_independent_fractions_are_not_nested_and_folds_differ(cells):
    parts = [ids(draw(cells, "random_independent", f), "train") for f in ("0.01", "0.1")]
    assert not parts[0] <= parts[1]
    tests = [ids(draw(cells, "random_independent", "0.1", fold), "test") for fold in (0, 1)]
    assert tests[0] != tests[1]


def test_independent_draws_are_those_of_the_follow_up():
    """Its public code, in numpy's words: one generator, the test cells, then each fraction."""
    cells, rng = many(20_552), np.random.default_rng(43)
    test = rng.choice(20_552, 4_110, replace=False)
    pool = np.setdiff1d(np.arange(20_552), test)
    for fraction in ("0.001", "0.01", "0.1"):
        drawn = rng.choice(pool, int(float(fraction) * len(pool)), replace=False)
        train = rng.choice(drawn, int(0.8 * len(drawn)), replace=False)
        split = draw(cells, "random_independent", fraction, fold=1)
        assert ids(split, "test") == set(test)
        assert ids(split, "train") == set(train)
        assert ids(split, "validation") == set(drawn) - set(train)


def test_independent_draws_follow_the_order_of_the_annotation_file(cells):
    """Cells are sorted by image; the follow-up draws row numbers of its file."""
    row = np.random.default_rng(7).permutation(len(cells))
    of_file = cells.assign(source_row=row).sort_values("source_row", ignore_index=True)
    for fraction in ("0.01", "1.0"):
        drawn = draw(cells.assign(source_row=row), "random_independent", fraction)
        due = draw(of_file.drop(columns="source_row"), "random_independent", fraction)
        assert drawn.roles.equals(due.roles)
        assert ids(drawn, "test") != ids(draw(cells, "random_independent", fraction), "test")


@pytest.mark.parametrize("scheme", ["random", "slide_grouped", "from_left"])
def test_other_draws_do_not_ask_for_the_order_of_the_file(cells, scheme):
    row = np.random.default_rng(7).permutation(len(cells))
    assert draw(cells.assign(source_row=row), scheme).roles.equals(draw(cells, scheme).roles)


def test_independent_draws_know_their_own_fractions_only(cells):
    with pytest.raises(SplitError, match=r"draws the fractions \[0.001, .* in turn, not 0.5"):
        draw(cells, "random_independent", "0.5")


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
        SplitError,
        match="for test, need 5 slides; there are 1. Bring more slides, or write a scheme card",
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


def test_all_domains_but_one_train_and_the_one_left_out_tests_whole(cells):
    split = draw(cells, "except_left", fold=3)
    domain = cells.set_index("id")["domain"]
    right = int((domain == "right").sum())
    assert ids(split, "test") == set(domain.index[domain == "left"])
    assert sizes(split)[:2] == (int(0.8 * right), right - int(0.8 * right))
    assert ids(split, "train") | ids(split, "validation") == set(domain.index[domain == "right"])
    assert ids(split, "train") != ids(draw(cells, "except_left", fold=2), "train")


def test_one_domain_leaves_none_to_train_on(cells):
    with pytest.raises(SplitError, match="'except_left': every cell is of domain 'left'"):
        draw(cells.assign(domain="left"), "except_left")
    with pytest.raises(SplitError, match="no cell is of domain 'middle'"):
        draw(cells, "except_middle")


def shares_a_pixel(stored, seen) -> bool:
    """Whether a stored window, margin included, and a seen one of whole px share one."""
    if stored["place"] != seen["place"]:
        return False
    return all(
        stored[axis] - stored["margin"] < seen[axis] + seen["side"]
        and seen[axis] < stored[axis] + stored["side"] + stored["margin"]
        for axis in ("left", "top")
    )


@pytest.mark.parametrize("fold", [0, 4])
def test_no_training_or_validation_cell_shares_a_pixel_with_a_test_cell(placed, fold):
    windows = windows_of(placed, side=32, margin=4)
    split, usual = draw(placed, "no_overlap", fold=fold, windows=windows), draw(placed, fold=fold)
    assert ids(split, "test") == ids(usual, "test")
    at = windows.set_index("id").to_dict("index")
    near = {
        one
        for one in ids(usual, "train") | ids(usual, "validation")
        if any(shares_a_pixel(at[one], at[other]) for other in ids(split, "test"))
    }
    assert 100 < len(near) < 700
    kept = ids(split, "train") | ids(split, "validation")
    assert kept == set(range(1000)) - ids(split, "test") - near  # no cell is lost that could stay
    assert sizes(split)[:2] == (int(0.8 * len(kept)), len(kept) - int(0.8 * len(kept)))


def test_cells_apart_keep_the_order_of_the_pool_so_that_fractions_are_nested(placed):
    windows = windows_of(placed, side=32, margin=4)
    chain = [
        ids(draw(placed, "no_overlap", fraction=f, windows=windows), "train")
        for f in ("0.05", "0.5", "1.0")
    ]
    assert all(small < large for small, large in pairwise(chain))
    alone = windows.assign(place=windows["id"])  # nothing touches: nothing differs from `random`
    assert draw(placed, "no_overlap", fraction="0.5", windows=alone).roles.equals(
        draw(placed, fraction="0.5").roles
    )


def test_windows_do_not_hang_on_the_order_or_the_number_of_their_rows(placed):
    windows = windows_of(placed, side=32, margin=4)
    some = placed[placed["id"] % 3 > 0].reset_index(drop=True)  # what an audit leaves
    mixed = windows.sample(frac=1, random_state=0)
    one, other = (draw(some, "no_overlap", windows=w) for w in (windows, mixed))
    assert one.roles.equals(other.roles)
    with pytest.raises(StoreError, match="1 cells have no window, first 998"):
        draw(some, "no_overlap", windows=windows[windows["id"] != 998])


def test_the_rungs_test_the_same_cells_and_share_their_seed():
    cards = [load_card(CONFIG, "schemes", name) for name in ("random", "no_overlap")]
    assert all(cards[0][key] == cards[1][key] for key in ("test", "validation", "seed"))


@pytest.mark.parametrize("scheme", ["random", "no_overlap", "slide_grouped", "except_left"])
def test_a_smaller_training_set_is_a_part_of_the_larger_and_all_else_stays(placed, scheme):
    windows = windows_of(placed, side=32, margin=4)
    whole, half, tenth = (
        draw(placed, scheme, fold=2, windows=windows, size=size) for size in (None, 150, 20)
    )
    assert [sizes(split)[0] for split in (half, tenth)] == [150, 20]
    assert ids(tenth, "train") < ids(half, "train") < ids(whole, "train")
    for role in ("validation", "test"):
        assert ids(half, role) == ids(whole, role) == ids(tenth, role)


def test_a_smaller_training_set_keeps_both_classes(cells):
    rare = cells.assign(label=(cells["id"] % 200 == 0).astype(int))
    labels = rare.set_index("id")["label"]
    for fold in range(5):
        assert labels[list(ids(draw(rare, fold=fold, size=4), "train"))].nunique() == 2


def test_more_training_cells_than_there_are_is_an_error(cells):
    with pytest.raises(SplitError, match="900 training cells are asked for, .* has 640"):
        draw(cells, size=900)


def ccmct(shared) -> pd.DataFrame:
    """As many cells of either class on each slide as CCMCT has."""
    table = pd.read_csv(shared / "ccmct_per_slide.csv")
    counts = table[["laO", "mfO"]].to_numpy()
    label = np.concatenate([np.repeat((0, 1), pair) for pair in counts])
    slide = np.repeat(table["fn"].to_numpy(), counts.sum(axis=1))
    return pd.DataFrame(
        {"id": np.arange(len(label)), "slide": slide, "domain": "a", "label": label}
    )


def test_five_grouped_folds_test_every_slide_of_ccmct_once(shared):
    cells = ccmct(shared)
    slide, tested = cells.set_index("id")["slide"], []
    for fold in range(5):
        split = draw(cells, "slide_grouped", fold=fold)
        tested += sorted(set(slide[list(ids(split, "test"))]))
        assert 0.15 < sizes(split)[2] / 72_845 < 0.25
    assert sorted(tested) == sorted(slide.unique())
    assert len(tested) == 32


def test_midog2022_trains_on_1156_lung_cells(shared):
    card = load_card(CONFIG, "datasets", "midog2022")
    cells = read_cells(shared / card["annotations"], shared, card, "midog2022")
    assert sizes(draw(cells, "from_canine_lung")) == (1_156, 290, 361 + 20_552 - 1_807)


def test_midog2022_without_shared_pixels_trains_on_10762_cells(shared):
    card = load_card(CONFIG, "datasets", "midog2022")
    cells = read_cells(shared / card["annotations"], shared, card, "midog2022")
    split = draw(cells, "no_overlap", windows=windows_of(cells))
    assert sizes(split) == (10_762, 2_691, 4_110)
    assert ids(split, "test") == ids(draw(cells), "test")
    assert sizes(draw(cells, "except_canine_lymphoma")) == (9_868, 2_468, 8_216)


def test_a_store_that_lacks_cells_is_told_how_many():
    assert indices_of(np.array([5, 3, 9]), pd.Series([9, 5])).tolist() == [2, 0]
    with pytest.raises(SplitError, match="no row for 2 cells of the split, first 7"):
        indices_of(np.array([5, 3, 9]), pd.Series([9, 7, 8]))
