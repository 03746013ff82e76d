import altair as alt
import pandas as pd

from cryotome.report.figures.charts import lines
from cryotome.report.page.charts import NARROW, SHOWN, WIDE, Picture, tips, with_theme
from cryotome.report.page.grids import Grid
from cryotome.study.styles import model_styles, row_styles

LOOKS = row_styles([("a", "x"), ("a", "y"), ("b", "x")], model_styles("ab", {}))
TABLE = pd.DataFrame({
    "key": ["a + x", "a + y", "b + x"], "row": ["A", "B", "C"], "share": [1.0, 1.0, 1.0],
    "auroc": [0.7, 0.8, 0.9], "low": [0.6, 0.7, 0.8], "high": [0.8, 0.9, 1.0],
})  # fmt: skip
TIP = tips(Row="row", AUROC="auroc:.3f", Training_cells="n:,")


def test_hovering_says_what_was_asked_for():
    said = [tip.to_dict() for tip in TIP]
    assert said[0] == {"field": "row", "title": "Row", "type": "nominal"}
    assert said[1]["format"] == ".3f"
    assert said[2]["title"] == "Training cells"


def test_a_specification_fits_its_place_and_knows_the_switch_of_rows():
    spec = with_theme(lines(TABLE, LOOKS, x=alt.X("share:Q"), floor=0.5), tip=TIP)
    assert spec["width"] == "container"
    assert {"name": "shown", "value": []} in spec["params"]
    floor, line, interval, points = (layer["encoding"] for layer in spec["layer"])
    assert "opacity" not in floor and "tooltip" not in floor
    assert line["opacity"] == interval["opacity"] == points["opacity"] == {"value": {"expr": SHOWN}}
    assert [tip["title"] for tip in points["tooltip"]] == ["Row", "AUROC", "Training cells"]
    assert "tooltip" not in line


def test_a_figure_without_rows_dims_nothing():
    chart = lines(TABLE, LOOKS, x=alt.X("share:Q"))
    spec = with_theme(chart, tip={"rule": TIP}, rows=False)
    assert "params" not in spec
    assert [("tooltip" in layer["encoding"]) for layer in spec["layer"]] == [False, True, False]
    assert not any("opacity" in layer["encoding"] for layer in spec["layer"])


def test_a_figure_is_drawn_before_any_script_runs():
    chart = lines(TABLE, LOOKS, x=alt.X("share:Q", title="share"))
    spec = with_theme(chart, tip=TIP)
    for wide, width in ((False, NARROW), (True, WIDE)):
        svg = Picture("p", "", spec, "", Grid("", [], []), wide).static
        assert svg.startswith("<svg") and f'width="{width}"' in svg
        assert ">share</text>" in svg and svg.count("mark-symbol") >= 1
        assert "aria-label" not in svg.split("<g", 2)[2]
    assert spec["width"] == "container"
