from conftest import CONFIG

from cryotome.study.load import load_study
from cryotome.study.recomputed import NOT_RECOMPUTED, recomputing_rules, table_rules, tables_of


def test_every_table_is_recomputed_or_says_why_not():
    study, _ = load_study("demo", CONFIG)
    tables = tables_of(study)
    assert tables["table2.csv"] == "" and "networks" in tables["table1.csv"]
    assert "figure1.pdf" not in tables
    assert set(NOT_RECOMPUTED) <= set(table_rules())
    assert set(recomputing_rules()) == set(table_rules()) - set(NOT_RECOMPUTED)
