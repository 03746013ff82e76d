import os
import re
import unicodedata

import pytest

from cryotome.core.errors import DataError
from cryotome.data.image_files import _names_in, find_image, visible_files
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


def test_links_to_folders_are_followed_loops_and_hidden_files_are_not(tmp_path):
    inside, outside = tmp_path / "slides", tmp_path / "elsewhere" / "case"
    (inside / ".hidden").mkdir(parents=True)
    outside.mkdir(parents=True)
    for path in (
        inside / "a.svs",
        inside / "._a.svs",
        inside / ".hidden" / "b.svs",
        outside / "c.svs",
    ):
        path.touch()
    (inside / "case").symlink_to(outside)
    (outside / "back").symlink_to(inside)
    assert list(visible_files(inside)) == [inside / "a.svs", inside / "case" / "c.svs"]


def test_a_name_with_two_suffixes_of_images_is_the_same_whichever_way_it_is_written():
    assert (
        slide_name("a.svs.tif") == slide_name("a.svs") == slide_name(slide_name("a.svs.tif")) == "a"
    )


def test_a_link_to_itself_or_to_nothing_stops_no_listing(tmp_path):
    (tmp_path / "a").symlink_to("a")
    (tmp_path / "b").symlink_to("nowhere")
    assert [path.name for path in visible_files(tmp_path)] == ["a", "b"]


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


def touched(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_only_suffixes_of_images_may_differ(tmp_path):
    touched(tmp_path, "case.png", "TCGA-AA-3872-01Z-00-DX1.eb37.tif", "S02.TIF", "S01.SVS.png")
    assert not find_image(tmp_path, "case.1").exists()
    for name, file in (
        ("TCGA-AA-3872-01Z-00-DX1.eb37", "TCGA-AA-3872-01Z-00-DX1.eb37.tif"),
        ("S02.tif", "S02.TIF"),
        ("S01.SVS", "S01.SVS.png"),
        ("case.webp", "case.png"),
    ):
        assert find_image(tmp_path, name) == tmp_path / file


def test_an_exact_name_wins_and_two_files_of_one_name_are_refused(tmp_path):
    touched(tmp_path, "a.png", "a.tif", "b.TIF", "b.png", "._c.png", "c.png")
    assert find_image(tmp_path, "a.png").name == "a.png"
    assert find_image(tmp_path, "b.tif").name == "b.TIF"
    assert find_image(tmp_path, "c").name == "c.png"
    for name in ("a", "a.svs"):
        with pytest.raises(
            DataError, match=r"'a.*' may be any of \['a.png', 'a.tif'\] in .*suffix"
        ):
            find_image(tmp_path, name)


@pytest.mark.parametrize(("file", "asked"), [("NFC", "NFD"), ("NFD", "NFC"), ("NFD", "NFD")])
def test_both_forms_of_unicode_are_one_name_in_folders_too(tmp_path, file, asked):
    names = {form: unicodedata.normalize(form, "Größe/fällt.png") for form in ("NFC", "NFD")}
    touched(tmp_path, names[file])
    assert find_image(tmp_path, names[asked]) == tmp_path / names[file]
    assert find_image(tmp_path, names[asked].removesuffix(".png")) == tmp_path / names[file]


def test_files_whose_names_differ_in_form_only_are_refused(tmp_path):
    names = [unicodedata.normalize(form, "ü.png") for form in ("NFC", "NFD")]
    touched(tmp_path, *names)
    for name in names:
        with pytest.raises(DataError, match="differ only in Unicode's form. Rename or remove one"):
            find_image(tmp_path, name)


def test_a_folder_that_changes_is_listed_again(tmp_path):
    assert not find_image(tmp_path, "a").exists()
    touched(tmp_path, "a.png")
    assert find_image(tmp_path, "a").exists()


def test_a_large_folder_is_listed_once(tmp_path, monkeypatch):
    touched(tmp_path, *(f"ä{number}.png" for number in range(300)))
    os.utime(tmp_path, (0, 0))
    _names_in.cache_clear()
    for number in range(300):
        assert find_image(tmp_path, f"ä{number}").exists()
    assert _names_in.cache_info().misses == 1


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
