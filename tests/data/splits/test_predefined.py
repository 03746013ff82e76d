import pandas as pd

from cryotome.data.splits.predefined import assign_roles


def test_every_cell_of_the_first_set_trains_and_every_one_of_the_second_tests():
    roles = assign_roles({"a": pd.DataFrame({"id": [0, 5]}), "b": pd.DataFrame({"id": [0]})})
    assert roles.to_dict("list") == {
        "id": ["a:0", "a:5", "b:0"],
        "role": ["train", "train", "test"],
    }
