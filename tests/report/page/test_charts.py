import altair as alt
import pandas as pd

from cryotome.report.page.charts import lines, matrix, row_chart, spans, tips, with_theme
from cryotome.study.styles import model_styles, row_styles

LOOKS = row_styles([("a", "x"), ("a", "y"), ("b", "x")], model_styles("ab", {}))
TABLE = pd.DataFrame({
    "key": ["a + x", "a + y", "b + x"], "row": ["A", "B", "C"], "share": [1.0, 1.0, 1.0],
    "auroc": [0.7, 0.8, 0.9], "low": [0.6, 0.7, 0.8], "high": [0.8, 0.9, 1.0],
})  # fmt: skip
TIP = tips(Row="row", AUROC="auroc:.3f", Training_cells="n:,")


def test_every_figure_gives_a_row_the_same_look():
    colour = row_chart(LOOKS, "colour").to_dict()["scale"]
    assert colour["domain"] == ["a + x", "a + y", "b + x"]
    assert colour["range"] == ["#0061c7", "#0061c7", "#ff4719"]
    assert row_chart(LOOKS, "dash").to_dict()["scale"]["range"] == [[], [6, 2], []]


def test_hovering_says_what_was_asked_for():
    said = [tip.to_dict() for tip in TIP]
    assert said[0] == {"field": "row", "title": "Row", "type": "nominal"}
    assert said[1]["format"] == ".3f"
    assert said[2]["title"] == "Training cells"


def test_a_specification_fits_its_place_and_knows_the_switch_of_rows():
    x = alt.X("share:Q")
    spec = with_theme(lines(TABLE, LOOKS, x=x, tip=TIP, floor=0.5))
    assert spec["width"] == "container"
    assert {"name": "shown", "value": []} in spec["params"]
    assert [layer["mark"]["type"] for layer in spec["layer"]] == ["rule", "line", "rule", "point"]
    assert spec["layer"][3]["encoding"]["y"]["scale"]["domain"][0] < 0.5


def test_rows_below_each_other_have_a_band_about_zero_and_only_what_is_chosen():
    chart = spans(TABLE, LOOKS, value="auroc", title="t", tip=TIP, zero=0.0, band=0.02,
                  order=["C", "A", "B"], only="datum.key == 'a + x'")  # fmt: skip
    spec = with_theme(chart)
    marks = [layer["mark"]["type"] for layer in spec["layer"]]
    assert marks == ["rect", "rule", "rule", "point"]
    assert spec["layer"][3]["encoding"]["y"]["sort"] == ["C", "A", "B"]
    assert spec["layer"][3]["transform"] == [{"filter": "datum.key == 'a + x'"}]


def test_a_matrix_writes_its_numbers_where_there_is_room():
    names = [str(n) for n in range(13)]
    for count, layers in ((12, 2), (13, 1)):
        part = names[:count]
        table = pd.DataFrame([(a, b, 0.5) for a in part for b in part], columns=["d", "a", "v"])
        chart = matrix(table, down="d", across="a", value="v", titles=("d", "a", "v"), tip=TIP[:1],
                       domain=(0, 1), orders=(part, part))  # fmt: skip
        assert len(with_theme(chart, rows=False)["layer"]) == layers
