import re

import altair as alt
import pandas as pd
import pytest
from PIL import Image
from tests.core.test_plotting import TITLES

from cryotome.core.charts import in_fixed_order, save_chart


def chart(title: str = "Plain", bold: str = "SYNTHETIC") -> alt.Chart:
    """Points that show through, under a title of two fonts: both make a PDF's order vary."""
    table = pd.DataFrame({"x": range(20), "y": range(20), "k": ["a − b ·", "µm² ± 95 %"] * 10})
    points = alt.Chart(table).mark_point(opacity=0.5).encode(x="x", y="y", color="k")
    look = alt.Title([title], subtitle=bold, subtitleFontWeight="bold")
    return points.properties(title=look)


def test_a_chart_is_written_as_pdf_with_its_fonts_and_as_png(tmp_path):
    save_chart(chart(), tmp_path / "a.pdf", tmp_path / "a.png")
    pdf = (tmp_path / "a.pdf").read_bytes()
    assert pdf.startswith(b"%PDF-") and pdf.rstrip().endswith(b"%%EOF")
    fonts = set(re.findall(rb"/BaseFont /\w+\+(\S+)", pdf))
    assert fonts == {b"LiberationSans", b"LiberationSans-Bold"}
    assert pdf.count(b"/FontFile2") == 2
    assert b"CreationDate" not in pdf
    with Image.open(tmp_path / "a.png") as image:
        assert image.mode == "RGB" and min(image.size) > 400


def test_equal_charts_are_equal_files(tmp_path):
    for name in "abcdef":  # the order of a hash table is the same by accident
        save_chart(chart(), tmp_path / f"{name}.pdf", tmp_path / f"{name}.png")
    assert len({(tmp_path / f"{name}.pdf").read_bytes() for name in "abcdef"}) == 1
    assert len({(tmp_path / f"{name}.png").read_bytes() for name in "abcdef"}) == 1


def test_every_reference_of_a_pdf_finds_its_object(tmp_path):
    save_chart(chart(), tmp_path / "a.pdf")
    pdf = (tmp_path / "a.pdf").read_bytes()
    start = int(pdf.rsplit(b"startxref", 1)[1].split()[0])
    assert pdf[start : start + 4] == b"xref"
    offsets = [int(line[:10]) for line in pdf[start:].splitlines() if line.endswith(b" n")]
    for number, at in enumerate(offsets, 1):
        assert pdf[at:].startswith(b"%d 0 obj\n" % number)
    assert in_fixed_order(pdf) == pdf


@pytest.mark.parametrize("title", TITLES)
def test_titles_are_drawn_as_written(tmp_path, title):
    import vl_convert

    svg = vl_convert.vegalite_to_svg(chart(title).to_dict())
    escaped = title.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert escaped in svg
    save_chart(chart(title), tmp_path / "a.pdf")
