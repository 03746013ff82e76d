import altair as alt
import pandas as pd
from chart_specs import layers, marked, panels, rows_of, words

from cryotome.core.charts import specification
from cryotome.report.figures.charts import (
    legend,
    lines,
    matrix,
    row_channel,
    sheet,
    with_names,
)
from cryotome.study.styles import Style, model_styles, row_styles

LOOKS = row_styles([("a", "x"), ("a", "y"), ("b", "x")], model_styles("ab", {}))
TABLE = pd.DataFrame({
    "key": ["a + x", "a + y", "b + x"], "row": ["A", "B", "C"], "share": [1.0, 1.0, 1.0],
    "auroc": [0.7, 0.8, 0.9], "low": [0.6, 0.7, 0.8], "high": [0.8, 0.9, 1.0],
})  # fmt: skip


def test_every_figure_gives_a_row_the_same_look():
    colour = row_channel(LOOKS, "colour").to_dict()["scale"]
    assert colour["domain"] == ["a + x", "a + y", "b + x"]
    assert colour["range"] == ["#0061c7", "#0061c7", "#ff4719"]
    assert row_channel(LOOKS, "dash").to_dict()["scale"]["range"] == [[], [6, 2], []]


def test_rows_are_named_for_people():
    table = pd.DataFrame({"model": ["a", "b"], "head": "x"})
    named = with_names(table, {"a + x": "A"})
    assert named[["key", "row"]].to_numpy().tolist() == [["a + x", "A"], ["b + x", "b + x"]]


def test_lines_have_intervals_and_a_floor():
    spec = specification(lines(TABLE, LOOKS, x=alt.X("share:Q"), floor=0.5))
    assert [layer["mark"]["type"] for layer in spec["layer"]] == ["rule", "line", "rule", "point"]
    low, high = spec["layer"][3]["encoding"]["y"]["scale"]["domain"]
    assert low < 0.5 and high > 1


def test_a_matrix_writes_its_numbers_where_there_is_room():
    names = [str(n) for n in range(13)]
    for count, expected in ((12, 2), (13, 1)):
        part = names[:count]
        table = pd.DataFrame([(a, b, 0.5) for a in part for b in part], columns=["d", "a", "v"])
        chart = matrix(table, fields=("d", "a"), value="v", titles=("d", "a", "v"),
                       domain=(0, 1), orders=(part, part))  # fmt: skip
        assert len(specification(chart)["layer"]) == expected


def test_a_legend_names_every_style_beside_its_mark():
    labels = {"a + x": "A", "a + y": "B", "b + x": "a long name of a row " * 4}
    spec = legend(LOOKS, labels, hollow=["b + x"], title="rows", columns=2)
    columns = spec["concat"]
    assert [len(rows_of(spec, layers(column)[0])) for column in columns] == [2, 1]
    last = rows_of(spec, layers(columns[1])[0])
    assert last["filled"].tolist() == [False]
    assert last["said"].str.count("\n").tolist() == [1]
    assert all(name in words(spec) for name in ("A", "B", "rows"))


def test_panels_of_a_sheet_keep_their_own_scales_below_the_notice():
    chart = lines(TABLE, LOOKS, x=alt.X("share:Q"))
    other = {key: Style("#000000", "square", []) for key in LOOKS}
    second = lines(TABLE, other, x=alt.X("share:Q"))
    spec = sheet(
        [chart, second], beside=legend(LOOKS, dict.fromkeys(LOOKS, "r")), notice="synthetic"
    )
    assert spec["title"]["text"] == "SYNTHETIC"
    assert len(panels(spec)) == 2
    inner = spec["concat"][0]
    assert inner["resolve"]["scale"]["color"] == "independent"
    first, other = (
        marked(panel, "point")[0]["encoding"]["color"]["scale"] for panel in panels(spec)
    )
    assert first["range"][0] == "#0061c7" and other["range"][0] == "#000000"
