import pandas as pd
from some_facts import STATISTICS
from tests.evaluation.statistics.test_comparisons import KEYS, KNOWN, NONE, paired

from cryotome.evaluation.statistics.comparisons import comparisons, intervals
from cryotome.evaluation.statistics.rows import prepare_rows


def test_intervals_that_are_known_to_cover_too_little_say_so():
    what = "covered by the clustered interval"
    lines = [
        ("few", 18.0, what, 0.89, "random", "all"),
        ("many", 100.0, what, 0.95, "random", "all"),
    ]
    lines.append(("few", 18.0, what, 0.80, "grouped", "all"))  # another design
    known = pd.DataFrame(lines, columns=KNOWN)
    note = intervals(prepare_rows({KEYS: paired()}, STATISTICS.draws, known), 0.05)["note"]
    # 20 slides are a little more than 18, and count as 18
    said = r"count as 19\.0 equal ones: with about 18, .*cover 89 % \(simulated, random folds, slides of few"
    assert note.str.contains(said).all()
    note = intervals(prepare_rows({KEYS: paired(slides=60)}, STATISTICS.draws, known), 0.05)["note"]
    assert note.eq("").all()


def test_a_row_without_a_difference_in_a_part_hides_no_other_note():
    known = pd.DataFrame(
        [("few", 18.0, "covered by the clustered interval", 0.89, "random", "all")], columns=KNOWN
    )
    flat = paired()
    flat.parts[0]["good"] = 0.5
    note = intervals(prepare_rows({KEYS: flat}, STATISTICS.draws, known), 0.05).set_index("row")[
        "note"
    ]
    assert note["good"].startswith("all scores are equal in 1 of 3 parts; ")
    assert "cover 89 %" in note["good"]


def test_where_slides_are_not_known_no_number_of_them_is_given_and_every_note_says_so():
    known = prepare_rows({KEYS: paired()}, STATISTICS.draws, NONE)
    unknown = prepare_rows({KEYS: paired()}, STATISTICS.draws, NONE, ["d"])
    mine, as_ever = intervals(unknown, 0.05), intervals(known, 0.05)
    counts = ["slides", "effective_slides"]
    assert mine[counts].isna().all(axis=None)
    assert mine["note"].str.startswith("20 images, slides not known").all()
    same = [column for column in mine if column not in [*counts, "note"]]
    pd.testing.assert_frame_equal(mine[same], as_ever[same])
    few = prepare_rows({KEYS: paired(slides=4)}, STATISTICS.draws, NONE, ["d"])
    note = comparisons(few, "good", STATISTICS)["note"]
    assert note.str.startswith("4 images, slides not known: no test can reach 0.05").all()
