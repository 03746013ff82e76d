"""Titles are drawn as they were written."""

import ast

import pytest
from conftest import ROOT
from matplotlib.figure import Figure

from cryotome.core import plotting as drawing  # noqa: F401

TITLES = ["cost $5_ and $6", "site $$ 2", "$C$ 100%", r"\frac{a}{b} $\alpha$", "{a_b}^2 ~ <i>&"]


@pytest.mark.parametrize("title", TITLES)
@pytest.mark.parametrize("kind", ["png", "pdf"])
def test_dollars_are_no_formula(tmp_path, title, kind):
    figure = Figure()
    axes = figure.subplots()
    axes.plot([0, 1], label=title)
    axes.set_title(title)
    axes.set_xticks([0, 1], [title, title])
    legend = axes.legend(title=title)
    figure.savefig(tmp_path / f"a.{kind}")
    texts = [axes.title, legend.get_title(), *legend.get_texts(), *axes.get_xticklabels()]
    assert [text._preprocess_math(text.get_text()) for text in texts] == [(title, False)] * 5


def test_every_module_that_draws_sets_it():
    for path in (ROOT / "workflow").rglob("*.py"):
        named = [
            n
            for n in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(n, ast.Import | ast.ImportFrom)
        ]
        drawn = {f"{getattr(n, 'module', '')}.{a.name}" for n in named for a in n.names}
        if drawn & {".matplotlib.pyplot", ".seaborn", "matplotlib.figure.Figure"}:
            assert "cryotome.core.plotting" in drawn, path
