import pandas as pd
import pytest
import tifffile
from conftest import cut

from cryotome.data.cells import load_cells
from cryotome.data.shared_cells import find_shared_cells, shared_cells


@pytest.fixture
def two(cohort, demo_card, tmp_path):
    """Two datasets of one folder's images: cells of 001 and 002, and of a copy of 002 and 009."""
    images = tmp_path / "images"
    images.mkdir()
    for name, source in {"001": "001", "002": "002", "900": "002", "009": "009"}.items():
        pixels = tifffile.imread(cohort / f"images/{source}.tiff")
        tifffile.imwrite(images / f"{name}.tiff", pixels, photometric="rgb")
    places = [(80, 90), (150, 120), (200, 210)]

    def make(name: str, *files: str, moved: int = 0):
        rows = [(f"{file}.tiff", x + moved, y + moved, 0) for file in files for x, y in places]
        table = pd.DataFrame(rows, columns=["image", "x", "y", "label"])
        table = table.assign(id=table.index, slide=table["image"], domain="d")
        table.to_csv(tmp_path / f"{name}.csv", index=False)
        cut(tmp_path / f"{name}.h5", tmp_path / f"{name}.csv", images, demo_card)
        return tmp_path / f"{name}.h5", tmp_path / f"{name}.csv"

    return make


def found_in(one, other):
    return shared_cells((one[0], other[0]), (load_cells(one[1]), load_cells(other[1])))


def test_equal_patches_are_found_under_another_image_name(two):
    found = found_in(two("a", "001", "002"), two("b", "900", "009"))
    assert found == {"equal patch": {0, 1, 2}, "equal place": set()}


def test_cells_a_few_px_aside_on_the_same_image_are_found_by_their_place(two):
    found = found_in(two("a", "001", "002"), two("b", "002", "009", moved=5))
    assert found == {"equal patch": set(), "equal place": {0, 1, 2}}


def test_an_image_of_the_same_name_alone_says_nothing(two):
    found = found_in(two("a", "001", "002"), two("b", "002", "009", moved=40))
    assert not any(found.values())


def test_what_is_left_out_is_counted_in_the_log(two, capsys):
    a, b = two("a", "001"), two("b", "001", "009")
    found = find_shared_cells([a[0], b[0]], [a[1], b[1]], [("a", "b"), ("b", "a")])
    assert found == {("a", "b"): {0, 1, 2}, ("b", "a"): {0, 1, 2}}
    assert "b: 3 of 6 cells left out, equal patch in a" in capsys.readouterr().err
