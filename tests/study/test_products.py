import pytest
from tests.study.test_study import study

from cryotome.core.errors import CardError
from cryotome.study.products import PRODUCTS, RULES, report_entry, require_product


def test_a_study_without_single_domains_has_no_table2():
    assert "table2.csv" not in study("demo", schemes=["random"]).products
    assert "table2.csv" in study("demo").products


def test_a_product_that_a_study_does_not_make_is_refused():
    assert require_product(study("demo"), "table2.csv") == "table2.csv"
    with pytest.raises(CardError, match="study 'demo' has no scheme that table2.csv is made from"):
        require_product(study("demo", schemes=["random"]), "table2.csv")
    assert "figure1.csv" not in study("demo", schemes=["from_*"]).products


def test_every_study_makes_the_tables_that_its_schemes_give():
    def made(name: str) -> set[str]:
        return set(study(name).products)

    assert {"table2.csv", "learning.png", "comparisons.csv", "ranks.png"} <= made("ganz2024")
    assert not {"ladder.csv", "orders.csv"} & made("ganz2024")
    ladder = made("ganz2024_ladder")
    assert {"ladder.csv", "ladder.md", "ladder.png"} <= ladder
    assert not {"table2.csv", "figure1.csv", "learning.csv"} & ladder  # nothing but matched rungs
    assert {"orders.csv", "table2.csv"} <= made("ganz2024_probes")
    assert "learning.csv" not in made("ganz2024_probes")  # one fraction


def test_every_file_stands_in_one_line_of_the_table_in_a_section_of_the_report():
    assert len(RULES) == sum(len(product.files) for product in PRODUCTS)
    assert all(one.section and one.title and one.caption.endswith(".") for one in PRODUCTS)
    assert RULES["learning.csv"] == "compare"
    assert RULES["learning.png"] == "plot_learning_curves"


def test_labels_name_the_product_its_kind_and_what_its_numbers_come_from():
    entry = report_entry(study("ganz2024"), "table2.md")
    assert (entry["category"], entry["subcategory"]) == ("Ganz et al. 2024", "Tables")
    assert entry["labels"] == {"what": "Table 2", "as": "MD"}
    found = report_entry(study("demo"), "intervals.csv")["labels"]
    assert found["tissue"] == "synthetic"
    assert "image where slides are unknown" in found["unit of intervals"]


def test_raters_are_compared_where_a_card_names_them():
    assert study("amibr_raters").rated == ["amibr_raters"]
    assert {"raters.csv", "raters.pdf"} <= set(study("amibr_raters").products)
    assert study("amibr").rated == [] and "raters.csv" not in study("amibr").products
