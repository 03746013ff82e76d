from dataclasses import replace

import pandas as pd
import pytest
from PIL import Image
from some_facts import some

from cryotome.report.page import attention as module
from cryotome.report.page.attention import attention, surest
from cryotome.study.facts import RothFacts
from cryotome.study.row import Row


@pytest.fixture
def seen(g):
    """Five slides of a cohort, one of them without a score, and their pictures."""
    lines = [("a", 0.9), ("b", 0.1), ("c", 0.5), ("d", None), ("e", 0.7)]
    table = pd.DataFrame(lines, columns=["slide", "score"])
    table = table.assign(tiles=20, score_sd=0.02, tiles_of_half=4, status="ok", reason="")
    folder = g.results / "applied" / "there"
    (folder / "m.h").mkdir(parents=True)
    table.to_csv(folder / "m.h.csv", index=False)
    for name in "abce":
        Image.new("RGB", (300, 200), "white").save(folder / "m.h" / f"{name}.png")
    roth = some(RothFacts, rows_of={"slides": [Row("m", "h")]}, titles={"m": "Model M"})
    return replace(g, facts=replace(g.facts, roth=roth, attended={"there": "Over there"}))


def test_the_surest_slides_of_each_end_are_shown_with_their_score(seen):
    section = attention(seen)
    assert [sheet.title for sheet in section.sheets] == ["Slide a", "Slide e", "Slide b", "Slide c"]
    assert section.sheets[0].group == "Over there: Model M + h, highest scores"
    assert section.sheets[2].group == "Over there: Model M + h, lowest scores"
    assert section.sheets[0].said.startswith("Score 0.90, SD 0.02")
    assert section.sheets[0].href == "../../applied/there/m.h/a.png"
    assert section.sheets[0].data.startswith("data:image/jpeg;base64,")


def test_few_slides_are_shown_once_and_those_without_a_score_never():
    table = pd.DataFrame({"slide": list("abc"), "score": [0.2, None, 0.8]})
    found = surest(table)
    assert [found[end]["slide"].tolist() for end in ("highest", "lowest")] == [["c"], ["a"]]
    assert [len(part) for part in surest(table.head(0)).values()] == [0, 0]


def test_beyond_the_budget_pictures_are_links(seen, monkeypatch):
    monkeypatch.setattr(module, "BUDGET", 0)
    assert [sheet.data for sheet in attention(seen).sheets] == [""] * 4


def test_a_study_whose_models_see_no_other_slides_has_no_such_part(g):
    assert not attention(g)
