import pytest

from cryotome.study.row import Row


def test_a_rows_name_in_tables_is_read_back():
    row = Row("uni", "linear_probe", "paper-fp16")
    assert row.key == "uni + linear_probe"
    assert Row.parse(row.key) == Row("uni", "linear_probe")


@pytest.mark.parametrize("key", ["uni", "uni + a + b"])
def test_what_is_no_name_of_a_row_is_refused(key):
    with pytest.raises(ValueError, match="unpack"):
        Row.parse(key)
