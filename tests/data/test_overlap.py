import numpy as np
import pandas as pd
import pytest

from cryotome.data.overlap import pixel_boxes, shared_area, sharing_pairs


def windows(*rows) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["left", "top", "side", "margin", "place"])


def by_hand(one: pd.DataFrame, other: pd.DataFrame) -> list[list[int]]:
    """Pairs that share a pixel, pixel by pixel of each axis."""

    def touched(start: float, length: float) -> set[int]:
        return set(range(int(np.floor(start)), int(np.ceil(start + length))))

    pairs = []
    for i, a in enumerate(one.to_dict("records")):
        for j, b in enumerate(other.to_dict("records")):
            grown = b["side"] + 2 * b["margin"]
            both = [
                touched(a[axis], a["side"]) & touched(b[axis] - b["margin"], grown)
                for axis in ("left", "top")
            ]
            if a["place"] == b["place"] and all(both):
                pairs.append([i, j])
    return pairs


def pairs(one, other) -> list[list[int]]:
    boxes = pixel_boxes(one, stored=False), pixel_boxes(other, stored=True)
    return sharing_pairs(*boxes, places=(one["place"], other["place"])).tolist()


def test_windows_that_touch_share_nothing_and_those_one_px_nearer_do():
    one = windows((0, 0, 10, 2, "a"))
    assert pairs(one, windows((12, 0, 10, 2, "a"))) == []
    assert pairs(one, windows((11, 0, 10, 2, "a"))) == [[0, 0]]
    assert pairs(one, windows((11, 12, 10, 2, "a"))) == []
    assert pairs(one, windows((5, 5, 10, 2, "b"))) == []
    assert pairs(one, windows((0, 0, 10, 2, "a"))) == [[0, 0]]  # the same place


def test_a_pixel_that_two_windows_share_in_part_is_shared():
    assert pairs(windows((0, 0, 9.4, 0, "a")), windows((9.6, 0, 5, 0, "a"))) == [[0, 0]]


def test_windows_that_are_not_known_share_nothing():
    unknown = windows((np.nan, np.nan, np.nan, np.nan, "a"))
    assert pairs(unknown, unknown) == []
    assert pairs(windows((0, 0, 9, 0, "a")), pd.concat([unknown, windows((0, 0, 9, 0, "a"))])) == [
        [0, 1]
    ]


@pytest.mark.parametrize("whole", [True, False])
def test_pairs_are_those_of_brute_force_for_sides_and_places_of_any_kind(whole):
    rng = np.random.default_rng(0)

    def some(count: int) -> pd.DataFrame:
        corner = rng.uniform(-20, 300, size=(count, 2))
        table = pd.DataFrame(np.round(corner) if whole else corner, columns=["left", "top"])
        side = rng.choice([8, 20, 31] if whole else [7.5, 20.2, 31.0], size=count)
        return table.assign(side=side, margin=side // 8, place=rng.choice(["a", "b", "c"], count))

    one, other = some(150), some(200)
    expected = by_hand(one, other)
    assert len(expected) > 100
    assert pairs(one, other) == expected


def test_the_shared_area_is_counted_in_px():
    one = pixel_boxes(windows((0, 0, 10, 2, "a"), (0, 0, 10, 2, "a")), stored=False)
    other = pixel_boxes(windows((5, 4, 10, 2, "a"), (30, 0, 10, 2, "a")), stored=False)
    assert shared_area(one, other).tolist() == [30, 0]


def test_pairs_of_a_slide_of_fifteen_thousand_cells_are_found():
    rng = np.random.default_rng(0)
    count = 15_000
    table = pd.DataFrame(rng.integers(0, 60_000, size=(count, 2)), columns=["left", "top"])
    table = table.assign(side=224, margin=24, place="a")
    found = pairs(table[:3_000], table[3_000:])
    assert len(found) > 0
