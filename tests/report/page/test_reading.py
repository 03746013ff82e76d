import re

from conftest import ROOT

from cryotome.report.page.reading import READING


def test_every_part_says_how_it_is_read_and_no_text_is_left_over():
    folder = ROOT / "workflow/cryotome/report/page"
    text = "".join(path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.py")))
    assert set(re.findall(r'\bSection\("(\w+)"', text)) == set(READING)
    for said in READING.values():
        assert max(len(one.split()) for one in re.split(r"[.:;] ", said)) <= 25
