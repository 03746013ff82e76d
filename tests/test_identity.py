from cryotome.identity import across, within


def test_equal_names_of_two_datasets_are_two():
    names = [*across("ca", ["P1", "P2"]), *across("cb", ["P1"])]
    assert names == ["ca:P1", "ca:P2", "cb:P1"]
    assert [within(name) for name in names] == [("ca", "P1"), ("ca", "P2"), ("cb", "P1")]
