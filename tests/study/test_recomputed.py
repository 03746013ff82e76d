import re

from conftest import CONFIG, ROOT

from cryotome.study.load import load_study
from cryotome.study.recomputed import NOT_RECOMPUTED, recomputing_rules, table_rules, tables_of


def test_every_table_is_recomputed_or_says_why_not():
    study, _ = load_study("demo", CONFIG)
    tables = tables_of(study)
    assert tables["table2.csv"] == "" and "networks" in tables["table1.csv"]
    assert "figure1.pdf" not in tables
    assert set(NOT_RECOMPUTED) <= set(table_rules())
    assert set(recomputing_rules()) == set(table_rules()) - set(NOT_RECOMPUTED)


def test_what_is_recomputed_reads_no_store_and_no_model():
    """A bundle has neither; a study with `robustness:` could not be verified."""
    text = "".join(path.read_text("utf-8") for path in sorted((ROOT / "workflow/rules").iterdir()))
    rules = dict(
        re.findall(r"^rule (\w+):\n(.*?)(?=^\S)", text + "\nend", re.DOTALL | re.MULTILINE)
    )
    stores = re.compile(r"results/(embeddings|patches|bags|models|tiles)/")
    reading = {name for name, body in rules.items() if stores.search(body)}
    assert {"embed", "probe", "measure_robustness"} <= reading
    assert reading.isdisjoint(recomputing_rules())
