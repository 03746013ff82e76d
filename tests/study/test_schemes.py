import pytest

from cryotome.study.schemes import Scheme, strictest_scheme

# from the strictest; every list without its head has the next as its strictest
ORDER = ["slide_grouped", "no_overlap", "random_independent", "random", "except_a", "from_a"]
ORDER += [f"{scheme}_matched" for scheme in ("slide_grouped", "no_overlap", "random", "except_a")]


@pytest.mark.parametrize("place", range(len(ORDER)))
def test_the_strictest_is_taken_whatever_the_order(place):
    assert strictest_scheme(ORDER[place:][::-1]) == [ORDER[place]]


def test_all_domains_are_taken_where_each_has_a_scheme():
    assert strictest_scheme(["from_a", "random_matched", "from_b"]) == ["from_a", "from_b"]
    assert strictest_scheme(["except_a_matched", "except_b_matched"]) == [
        "except_a_matched",
        "except_b_matched",
    ]


def test_of_two_pooled_schemes_that_nobody_ranked_the_first_is_taken():
    assert strictest_scheme(["mine", "yours", "random"]) == ["mine"]


def test_kinds():
    assert [str(Scheme.parse(s).every) for s in ("random", "from_a", "except_a", "except_a_matched")] == [
        "random", "from_*", "except_*", "except_*_matched",
    ]  # fmt: skip


def test_scanners_stand_where_domains_do_and_need_two():
    every = Scheme.parse("from_scanner_*")
    assert [str(one) for one in every.of(["lung"], ["a", "b"])] == [
        "from_scanner_a",
        "from_scanner_b",
    ]
    assert every.of(["lung", "breast"], ["a"]) == []
    assert Scheme.parse("except_scanner_b").of(["b"], ["a"]) == []  # a domain is no scanner
    assert [str(one) for one in Scheme.parse("from_*").of(["x", "y"], ["a", "b"])] == [
        "from_x",
        "from_y",
    ]
    assert not every.is_cross_domain  # no line of Table 2
    assert Scheme.parse("from_lung").is_cross_domain
    assert Scheme.parse("except_scanner_a").relation("scanner_a") == "out"
    assert Scheme.parse("from_scanner_a").trained == "scanner_a"
