import os
import unicodedata

import pytest
from PIL import Image

from cryotome.core.errors import DataError
from cryotome.data.image_files import _names_in, find_image, visible_files


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


def test_a_link_to_itself_or_to_nothing_stops_no_listing(tmp_path):
    (tmp_path / "a").symlink_to("a")
    (tmp_path / "b").symlink_to("nowhere")
    assert [path.name for path in visible_files(tmp_path)] == ["a", "b"]


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


def test_the_extension_may_differ(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "001.png")
    assert find_image(tmp_path, "001.tiff") == tmp_path / "001.png"
    assert find_image(tmp_path, "002.tiff") == tmp_path / "002.tiff"
