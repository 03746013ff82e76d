import pytest
from conftest import CONFIG, windows_of

from cryotome.core.cards import load_card
from cryotome.core.errors import SplitError
from cryotome.data.cells import read_cells
from cryotome.data.splits.cells import draw_split
from cryotome.data.splits.matched_size import matched_size


def ladder(*domains):
    rungs = {name: load_card(CONFIG, "schemes", name) for name in ("random", "no_overlap", "slide_grouped")}  # fmt: skip
    card = load_card(CONFIG, "schemes", "except_domain")
    return rungs | {f"except_{domain}": card for domain in domains}


def test_the_common_size_is_the_smallest_of_any_rung_and_fold(placed):
    windows, rungs = windows_of(placed, side=32, margin=4), ladder("left", "right")
    common = matched_size(placed, rungs, windows)
    every = {
        (scheme, fold): draw_split(
            placed, card, scheme=scheme, fraction="1.0", fold=fold, windows=windows
        ).roles["role"].eq("train").sum()
        for scheme, card in rungs.items()
        for fold in range(5)
    }  # fmt: skip
    assert common.cells == min(every.values())
    assert every[common.set_by] == common.cells
    assert common.smallest == {
        scheme: min(count for (name, _), count in every.items() if name == scheme)
        for scheme in rungs
    }
    assert common.left_out == {}


def test_what_a_dataset_cannot_have_is_left_out_and_named(placed):
    one = placed.assign(domain="left", slide="only")
    common = matched_size(one, ladder("left"), windows_of(placed, side=32, margin=4))
    assert set(common.smallest) == {"random", "no_overlap"}
    assert "every cell is of domain 'left'" in common.left_out["except_left"]
    assert "need 5 slides; there are 1." in common.left_out["slide_grouped"]
    assert common.set_by[0] == "no_overlap"


def test_a_ladder_without_any_rung_is_an_error(placed):
    with pytest.raises(SplitError, match="No scheme of the leakage ladder can be drawn"):
        matched_size(placed.assign(label=0), ladder(), windows_of(placed))


def test_midog2022_has_9868_set_by_leaving_the_lymphomas_out(shared):
    card = load_card(CONFIG, "datasets", "midog2022")
    cells = read_cells(shared / card["annotations"], shared, card, "midog2022")
    common = matched_size(cells, ladder(*card["domains"]), windows_of(cells))
    assert (common.cells, common.set_by) == (9_868, ("except_canine_lymphoma", 0))
    assert common.smallest["no_overlap"] == 10_754
    assert common.smallest["random"] == 13_153
    assert common.smallest["slide_grouped"] == 13_099
