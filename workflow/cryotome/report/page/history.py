"""What changed since an earlier state of the same rows, from `results/history.jsonl`."""

from cryotome.evaluation.changes import DRAWS, compare_states, state_of
from cryotome.evaluation.history import FILE, is_same, key_of, latest, present_state, read_history
from cryotome.report.page.grids import Grid, number, span, words
from cryotome.report.page.results import StudyResults
from cryotome.report.page.sections import Section, place_of, row_cell, where_cells

HEADS = ["Dataset", "Trained on", "Fraction", "Tested", "Row", "AUROC before", "AUROC now"]
HEADS += ["Now minus before", "95 % interval", "Verdict", "What is another one", "State before"]


def history(g: StudyResults) -> Section:
    """List the rows whose numbers are others than in their last different state."""
    known = [line for line in read_history(g.results) if line["study"] == g.facts.study]
    lines = present_state(g.results, g.facts) if known else []
    now = {key_of(line): line for line in lines}
    different = [line for line in known if not is_same(line, now.get(key_of(line)))]
    before = {key: line for key, line in latest(different).items() if key in now}
    earlier, present = (state_of(g.results, state) for state in (before, now))
    table = compare_states(earlier, present)
    if table.empty:
        return Section("history", "")
    source = g.elsewhere(g.results / FILE, "the end of each run")
    rows = []
    for line in table.to_dict("records"):
        key = tuple(line[name] for name in ("dataset", "scheme", "fraction", "tested", "row"))
        rows.append([
            *where_cells(line, g), words(line["fraction"]), words(place_of(line, g)),
            row_cell(line["row"], g), number(line["before"], source), number(line["after"], source),
            number(line["difference"], source, digits=4),
            span(line["low"], line["high"], source, digits=4), words(line["verdict"]),
            words(line["changed"]), words(earlier.lines[key]["time"][:10]),
        ])  # fmt: skip
    said = (
        f"Rows whose numbers or predictions differ from an earlier state of this study. Moved: "
        f"the 95 % interval of {DRAWS:,} draws of slides, the same for both states, leaves out 0. "
        "No correction for the number of rows. make compare shows more."
    )
    return Section("history", "What changed", [said], [Grid("", HEADS, rows, source)])
