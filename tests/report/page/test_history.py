from types import SimpleNamespace

import page_study
from invented_states import write_state

from cryotome.evaluation.history import record
from cryotome.report.page.history import history
from cryotome.report.page.results import StudyResults


def section(results, facts):
    study = page_study.study_of(2, ["midog2022"])
    known = page_study.page_facts(study)
    labels = {row.key: row.key for row in facts.rows}
    changed = {"study": "s", "blocks": facts.blocks, "folds": facts.folds, "rows": facts.rows}
    changed |= {"labels": labels, "styles": {}, "datasets": {"d": "D"}}
    facts = SimpleNamespace(**vars(known) | changed)
    return history(StudyResults(results / "studies/s", facts, "now"))


def test_a_first_run_has_no_such_section(tmp_path):
    facts = write_state(tmp_path)
    record(tmp_path, facts)
    assert not section(tmp_path, facts)


def test_a_row_that_moved_is_listed_with_both_numbers(tmp_path):
    record(tmp_path, write_state(tmp_path))
    facts = write_state(tmp_path, poor=3.0)
    found = section(tmp_path, facts)
    (grid,) = found.grids
    (line,) = grid.lines
    texts = [cell.text for cell in line]
    assert "poor + ridge" in texts and "moved" in texts
    assert "the 95 % interval of 2,000 draws" in found.said[0]
