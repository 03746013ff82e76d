import json
import re

import pandas as pd
import pytest
from page_study import make_page, study_of, write_tables

from cryotome.core.cards import load_card
from cryotome.report.page.page import SHAPES, mark, write_page
from cryotome.study.gather_facts import page_facts
from cryotome.study.styles import COLOURS, MARKS, Style


def test_every_mark_can_be_drawn():
    assert set(SHAPES) == set(MARKS)
    for shape in MARKS:
        said = mark(Style(COLOURS["blue"], shape, []))
        assert said.startswith('<svg class="mark blue"')
        assert 'aria-hidden="true"' in said
    assert mark(None) == ""


@pytest.mark.parametrize("rows", [2, 45])
def test_the_page_is_one_file_of_moderate_size(tmp_path, rows):
    page = make_page(tmp_path, rows, ("midog2022", "ccmct"))
    text = page.read_text(encoding="utf-8")
    assert len(text) < 15e6
    addresses = re.findall(r'(?:src|href)="([^"]*)"', text)
    assert not [a for a in addresses if re.match(r"[a-z]+:", a) and not a.startswith("data:")]
    assert "default-src 'none'" in text
    links = {a for a in addresses if a.startswith("../")}
    lost = [a for a in links if not (page.parent / a).exists()]
    assert lost == []
    assert len(links) >= 5


def test_specifications_hold_no_script_that_ends_early_and_no_number_that_json_lacks(tmp_path):
    text = make_page(tmp_path, 3).read_text(encoding="utf-8")
    (specs,) = re.findall(r'<script type="application/json" id="specs">(.*?)</script>', text)
    found = json.loads(specs)
    assert "figure1-midog2022-random" in found
    assert "NaN" not in specs


def test_a_hostile_title_stays_text(tmp_path):
    study = study_of(3, ["midog2022"])
    write_tables(tmp_path, study)
    table = tmp_path / "studies/invented/comparisons.csv"
    pd.read_csv(table).assign(note="</script><script>alert(1)</script>").to_csv(table, index=False)
    page = tmp_path / "studies/invented/index.html"
    write_page(page, page_facts(study))
    assert "<script>alert(1)" not in page.read_text(encoding="utf-8")


def test_no_text_of_a_card_is_obeyed_by_the_page(tmp_path, monkeypatch):
    evil = "</script><img src=x onerror=alert(1)>\"'{{7*7}}"

    def hostile(folder, kind, name):
        card = load_card(folder, kind, name)
        prose = ("title", "licence", "source")
        return card | {key: f"{evil} {name}" for key in prose if isinstance(card.get(key), str)}

    monkeypatch.setattr("cryotome.study.catalog.load_card", hostile)
    text = make_page(tmp_path, 3).read_text(encoding="utf-8")
    assert "&lt;/script&gt;&lt;img src=x" in text
    assert "\\u003c/script>\\u003cimg src=x" in text
    assert "<img src=x" not in text
