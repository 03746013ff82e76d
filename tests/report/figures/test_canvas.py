import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from cryotome.report.figures.canvas import add_synthetic_notice, draw_sheet, save_figure


@pytest.fixture
def figure():
    drawn, axes = plt.subplots()
    axes.plot([0, 1])
    yield drawn
    plt.close(drawn)


def test_synthetic_tissue_is_named_over_the_figure_and_real_tissue_is_not(figure):
    assert [text.get_text() for text in add_synthetic_notice(figure, "").texts] == []
    texts = add_synthetic_notice(figure, "synthetic demo cohort").texts
    assert [text.get_text() for text in texts] == ["SYNTHETIC DEMO COHORT"]


def test_a_sheet_has_a_line_a_name_and_leaves_the_rest_of_a_short_line_empty():
    patches = np.zeros((3, 8, 8, 3), np.uint8)
    sheet = draw_sheet({"near pairs": patches, "duplicates": patches[:1]}, "An audit", "")
    shown = [len(axes.images) for axes in sheet.axes]
    plt.close(sheet)
    assert shown == [1, 1, 1, 1, 0, 0]


def test_the_same_figure_twice_is_the_same_file(figure, tmp_path):
    names = [tmp_path / f"{n}.{kind}" for n in (1, 2) for kind in ("pdf", "png")]
    save_figure(figure, *names)
    first, second = ([path.read_bytes() for path in names[i : i + 2]] for i in (0, 2))
    assert first == second
    with Image.open(names[1]) as picture:
        assert picture.width > 300
