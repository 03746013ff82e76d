from chart_specs import marked, panels, rows_of, title_of, words
from tests.evaluation.test_context import settings, swept, table  # noqa: F401
from tests.study.test_study import study

from cryotome.report.figures.context import draw_context
from cryotome.study.gather_facts import row_facts


def test_the_figure_has_a_panel_a_pooling_and_a_line_a_model(table, swept):  # noqa: F811
    figure = draw_context(table, swept, row_facts(study("demo_context")))
    shown = panels(figure)
    assert [title_of(panel) for panel in shown] == [
        ["Demo regions, whole slides", "all domains; class token"],
        ["Demo regions, whole slides", "all domains; mean of tokens"],
    ]
    for panel in shown:
        points, ruler = marked(panel, "point")
        assert set(rows_of(figure, points)["key"]) == {
            "colour_histogram + ridge", "vit_tiny_random + ridge"
        }  # fmt: skip
        assert points["encoding"]["x"]["axis"]["values"] == [24, 48]
        above = ruler["encoding"]["x"]["axis"]
        assert above["orient"] == "top"
        assert above["labelExpr"] == "({'24': '6 µm', '48': '12 µm'})[datum.value]"
    said = words(figure)
    assert "Colour histogram + ridge probe" in said
    assert "ViT-Ti/16 (random weights) + ridge probe" in said
    drawn = rows_of(figure, marked(shown[1], "point")[0]).sort_values("side")
    mine = table[table["model"] == "vit_tiny_random_pool_mean"].sort_values("side")
    drawn = drawn.loc[drawn["model"] == "vit_tiny_random_pool_mean", "auroc"]
    assert drawn.tolist() == mine["auroc"].tolist()
    assert figure["title"]["text"] == "SYNTHETIC DEMO COHORT"
