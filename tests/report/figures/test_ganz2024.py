import pandas as pd
import pytest
from PIL import Image
from some_facts import some

from cryotome.report.figures.canvas import save_figure
from cryotome.report.figures.ganz2024 import draw_figure1, draw_figure2, figure1_data, figure2_data
from cryotome.study.facts import RowFacts
from cryotome.study.row import Row
from cryotome.study.styles import model_styles, row_styles

PAIRS = [("a", "linear_probe"), ("b", "endtoend")]
FACTS = some(
    RowFacts, rows=[Row(*pair) for pair in PAIRS],
    labels={"a + linear_probe": "A", "b + endtoend": "B"},
    styles=row_styles(PAIRS, model_styles("ab", {})),
    datasets={"d": "D", "f": "F"}, domains={"d": {"x": "X", "y": "Y"}, "f": {"z": "Z"}},
    schemes={"random": "random cells"}, figure2=["b + endtoend"], notice="synthetic demo cohort",
)  # fmt: skip


@pytest.fixture
def scores() -> pd.DataFrame:
    rows = []
    for model, head in PAIRS[::-1]:
        for dataset in ("f", "d"):
            for fraction in (0.1, 1.0):
                for fold in range(2):
                    rows.append(
                        (
                            dataset,
                            "random",
                            model,
                            head,
                            fraction,
                            fold,
                            "all",
                            "all",
                            0.6 + 0.1 * fold + 0.1 * fraction,
                        )
                    )
        for train in "xy":
            for test in "xy":
                rows += [
                    (
                        "d",
                        f"from_{train}",
                        model,
                        head,
                        1.0,
                        f,
                        train,
                        test,
                        0.9 if train == test else 0.6,
                    )
                    for f in (0, 1)
                ]
    columns = [
        "dataset",
        "scheme",
        "model",
        "head",
        "fraction",
        "fold",
        "train_domain",
        "test_domain",
        "value",
    ]
    return pd.DataFrame(rows, columns=columns)


PUBLISHED = pd.DataFrame(
    [("d", "random", "b", "endtoend", 1.0, 0.89, 0.01, "x")],
    columns=["dataset", "scheme", "model", "head", "fraction", "mean", "sd", "source"],
)


def test_figure1_averages_folds_and_keeps_published_numbers_apart(scores):
    table = figure1_data(scores, PUBLISHED, FACTS)
    assert list(zip(table["dataset"], table["row"], strict=True))[:3] == [
        ("d", "A"),
        ("d", "A"),
        ("d", "B"),
    ]
    assert table["mean"].tolist()[:2] == pytest.approx([0.66, 0.75])
    assert table["sd"].tolist() == pytest.approx([0.05] * 8)
    assert table["published_mean"].notna().sum() == 1


def test_figure2_has_each_pair_of_domains(scores):
    table = figure2_data(scores, FACTS)
    assert len(table) == 4
    assert set(table["row"]) == {"B"}
    assert table.set_index(["train_domain", "test_domain"])["mean"]["x", "y"] == pytest.approx(0.6)


def test_figures_are_written_as_pdf_and_png_and_carry_the_notice(scores, tmp_path):
    first = draw_figure1(figure1_data(scores, PUBLISHED, FACTS), FACTS)
    second = draw_figure2(figure2_data(scores, FACTS), FACTS)
    for name, figure in (("one", first), ("two", second)):
        assert any(text.get_text() == "SYNTHETIC DEMO COHORT" for text in figure.texts)
        save_figure(figure, tmp_path / f"{name}.pdf", tmp_path / f"{name}.png")
        assert (tmp_path / f"{name}.pdf").read_bytes()[:5] == b"%PDF-"
        with Image.open(tmp_path / f"{name}.png") as image:
            assert min(image.size) > 400


def test_equal_figures_are_equal_files(scores, tmp_path):
    for name in "ab":
        figure = draw_figure1(figure1_data(scores, PUBLISHED, FACTS), FACTS)
        save_figure(figure, tmp_path / f"{name}.pdf", tmp_path / f"{name}.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert (tmp_path / "a.pdf").read_bytes() == (tmp_path / "b.pdf").read_bytes()


def test_one_fraction_draws_rows_below_each_other(scores):
    table = figure1_data(scores[scores["fraction"] == 1.0], PUBLISHED, FACTS)
    table.loc[table["row"] == "A", "mean"] = 0.9
    figure = draw_figure1(table, FACTS)
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert names == ["B", "A"]  # from below
    assert [axis.get_xscale() for axis in figure.axes] == ["linear", "linear"]
    points = [line.get_xdata()[0] for line in figure.axes[0].lines if line.get_marker() == "o"]
    assert 0.9 in points
