from tests.study.test_study import study

from cryotome.study.product import CELLS, EXTERNAL, SLIDES, Product


def test_a_product_has_a_file_of_each_ending_with_the_rule_that_makes_it():
    made = Product("section", "a/b", "title", {"csv": "one", "pdf png": "two"}, CELLS, "said")
    assert made.files == {"a/b.csv": "one", "a/b.pdf": "two", "a/b.png": "two"}


def test_a_study_makes_what_its_keys_ask_for():
    rows, tissue = study("amibr_external"), study("roth2024")
    assert EXTERNAL.holds(rows) and not EXTERNAL.holds(study("amibr"))
    assert CELLS.holds(rows) and not SLIDES.holds(rows)
    assert SLIDES.holds(tissue) and SLIDES.said == "`colorectal:` with slides"
