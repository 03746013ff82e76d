import numpy as np
import pandas as pd
import pytest
import tifffile
from conftest import CONFIG, cut

from cryotome.core.cards import load_card
from cryotome.data.cells import read_cells
from cryotome.data.image_files import find_image
from cryotome.data.images import open_image
from cryotome.data.patches import cut_image, read_patches
from cryotome.data.place_windows import COLUMNS, place_windows


@pytest.fixture
def image(tmp_path):
    """Two images whose red is the column and whose green is the row."""
    y, x = np.mgrid[:200, :250].astype(np.uint8)
    for name in ("a.tiff", "b.tiff"):
        tifffile.imwrite(
            tmp_path / name, np.stack([x, y, 0 * x], -1), photometric="rgb", resolution=(40000, 40000), resolutionunit="CENTIMETER",
        )  # fmt: skip
    return tmp_path


def cells(*rows) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["image", "x", "y"])
    return table.assign(id=table.index, slide=table["image"], domain="d", label=table.index % 2)


def placed(folder, table, card, **how):
    table.to_csv(folder / "cells.csv", index=False)
    cut(folder / "p.h5", folder / "cells.csv", folder, card, **how)
    return place_windows(table, folder / "p.h5", folder, card)


PLACES = [("a.tiff", 100, 80), ("a.tiff", 5, 190), ("b.tiff", 100.5, 60.5), ("a.tiff", 249, 100)]


@pytest.mark.parametrize("border", ["black", "reflect", "clamp", "drop"])
def test_windows_are_where_the_pixels_came_from(image, demo_card, border):
    card = demo_card | {"patch": demo_card["patch"] | {"border": border}}
    windows = placed(image, cells(*PLACES), card)
    patches, ids, _ = read_patches(image / "p.h5", cells=image / "cells.csv")
    assert list(windows.columns) == COLUMNS
    assert windows["id"].tolist() == [0, 1, 2, 3]
    assert windows["place"].tolist() == [row[0] for row in PLACES]
    assert set(windows["side"]) == {32} and set(windows["margin"]) == {4}
    for window in windows.to_dict("records"):
        patch = patches[ids == window["id"]][0]
        for axis, name, reach in ((0, "left", 250), (1, "top", 200)):
            at = window[name] - window["margin"] + np.arange(40)
            shown = patch[20, :, 0] if axis == 0 else patch[:, 20, 1]
            inside = (at >= 0) & (at < reach)
            if inside.any() and (patch[20, 20, :2] > 0).all():
                assert (shown[inside] == at[inside]).all(), (window, border)


def test_clamp_moves_the_window_inside_and_black_leaves_it(image, demo_card):
    corner = {}
    for border in ("black", "clamp"):
        card = demo_card | {"patch": demo_card["patch"] | {"border": border}}
        corner[border] = placed(image, cells(*PLACES), card)[["left", "top"]].to_numpy().tolist()
    assert corner["black"] == [[84, 64], [-11, 174], [84, 44], [233, 84]]
    assert corner["clamp"] == [[84, 64], [0, 168], [84, 44], [218, 84]]


def test_at_another_resolution_windows_are_in_level_0_px(image, demo_card):
    card = demo_card | {"patch": demo_card["patch"] | {"resolution": 0.5}}  # images have 0.25
    windows = placed(image, cells(*PLACES), card)
    assert windows.loc[0, ["left", "top", "side", "margin"]].tolist() == [68, 48, 64, 8]
    patch = next(cut_image(cells(*PLACES)[:1], find_image(image, "a.tiff"), card))
    assert open_image(image / "a.tiff").size == (250, 200)
    assert patch[20, 4, 0] == pytest.approx(68.5, abs=1.5)  # the first column seen


def test_cells_on_broken_images_have_a_place_and_no_numbers(image, demo_card):
    (image / "b.tiff").write_bytes((image / "b.tiff").read_bytes()[:3000])
    windows = placed(image, cells(*PLACES), demo_card, broken="drop")
    assert windows["place"].tolist() == [row[0] for row in PLACES]
    assert windows[["left", "top", "side", "margin"]].isna().all(axis=1).tolist() == [
        False, False, True, False,
    ]  # fmt: skip


def test_crops_of_one_slide_lie_in_its_coordinates(shared, tmp_path):
    card = load_card(CONFIG, "datasets", "amibr")
    every = read_cells(shared / card["annotations"], shared / "amibr", card, "amibr")
    some = every[every["slide"] == every["slide"].iloc[0]].reset_index(drop=True)
    some = some.assign(id=some.index)
    some.loc[1, ["x", "y"]] = 0  # not known
    some.to_csv(tmp_path / "cells.csv", index=False)
    cut(tmp_path / "p.h5", tmp_path / "cells.csv", shared / "amibr", card)
    windows = place_windows(some, tmp_path / "p.h5", shared / "amibr", card)
    assert windows["place"].tolist()[:2] == [some["slide"][0], some["image"][1]]
    middle = windows[["left", "top"]].to_numpy() + 32
    assert np.abs(np.delete(middle - some[["x", "y"]].to_numpy(), 1, axis=0)).max() <= 0.5
    assert middle[1].tolist() == [64, 64]
