import re

import pytest

from cryotome.data.names import (
    WILDCARD,
    canonical_label,
    slide_name,
    wildcard_problem,
)


def test_only_known_suffixes_are_taken_off():
    assert slide_name("a.b.svs") == slide_name("a.b") == "a.b"
    assert (
        slide_name("TCGA-3L-AA1B-01Z-00-DX1.8923A151-A690")
        == "TCGA-3L-AA1B-01Z-00-DX1.8923A151-A690"
    )
    assert slide_name("01CO001-1a2b.SVS") == "01CO001-1a2b"


def test_decomposed_and_composed_spellings_are_one_name():
    assert slide_name("u\u0308ber.svs") == slide_name("\u00fcber.tif") == "\u00fcber"


def test_a_name_with_two_suffixes_of_images_is_the_same_whichever_way_it_is_written():
    assert (
        slide_name("a.svs.tif") == slide_name("a.svs") == slide_name(slide_name("a.svs.tif")) == "a"
    )


@pytest.mark.parametrize(
    "name", ["TCGA-3L-AA1B-01Z-00-DX1.89", "über (2)", "दिल्ली", "a=b+c", "1e5"]
)
def test_letters_digits_and_few_signs_make_names_of_paths(name):
    assert wildcard_problem(name) == ""
    assert re.fullmatch(WILDCARD, name)


@pytest.mark.parametrize("sign", "{}*?[]$`;'\"\n\t\\/,:<>|&#%@!~^\u200b\x7f")
def test_other_signs_are_named(sign):
    assert wildcard_problem(f"S{sign}2") == f"it has the character {sign!r}"
    assert not sign.isascii() or not re.fullmatch(WILDCARD, f"S{sign}2")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        (" a", "blank"),
        ("a ", "blank"),
        ("", "empty"),
        (".a", "begins with"),
        ("-a", "begins"),
        ("a" * 151, "150 b"),
    ],
)
def test_names_that_shells_and_people_misread_are_refused(name, why):
    assert why in wildcard_problem(name)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [("1.0", 1, True), ("1.00", 1.0, True), ("0.5", 0.5, True), ("10", 10.0, True),
     ("True", True, True), ("yes", True, True), ("no", False, True), (" MSIH ", "MSIH", True),
     ("u\u0308", "\u00fc", True), ("NULL", None, True),
     ("01", 1, False), ("1e0", 1, False), ("", None, False), ("NA", None, False)],
)  # fmt: skip
def test_a_label_is_the_same_in_a_table_and_in_a_card(one, other, same):
    assert (canonical_label(one) == canonical_label(other)) == same


@pytest.mark.parametrize("name", ["a.svs/", "a.svs/.", "./", "/.svs", ".svs", "..svs", ""])
def test_no_name_keeps_the_reader_of_suffixes_busy_for_ever(name):
    assert wildcard_problem(slide_name(name))
