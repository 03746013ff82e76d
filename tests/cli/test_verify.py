import pytest

from cryotome.cli.verify import compare_tables

TABLE = "row,auroc\na,0.5\nb,0.25\n"


@pytest.mark.parametrize(
    ("again", "state", "where"),
    [
        (TABLE, "equal", ""),
        (TABLE.replace("0.25", "0.2500000000001"), "rounding", ""),
        (TABLE.replace("0.25", "0.2501"), "differs", "line 3"),
        (TABLE.replace("b,", "c,"), "differs", "line 3"),
        (TABLE + "d,1\n", "differs", "line 4"),
        (TABLE.replace("auroc", "auroc,n"), "differs", "line 1"),
    ],
)
def test_tables_are_compared_cell_by_cell(tmp_path, again, state, where):
    for name, text in (("given.csv", TABLE), ("again.csv", again)):
        (tmp_path / name).write_text(text, encoding="utf-8")
    found, said = compare_tables(tmp_path / "given.csv", tmp_path / "again.csv")
    assert (found, said.split("\n")[0]) == (state, where)
