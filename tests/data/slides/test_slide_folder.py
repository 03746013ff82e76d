import os
import unicodedata

import pytest
from tests.data.slides.test_dicom import dicom

from cryotome.core.errors import DataError
from cryotome.data.slides.slide_folder import find_slides


def touched(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def found(folder, named=()):
    seen = find_slides(folder, named)
    return {name: path.removeprefix(f"{folder}/") for name, path in seen.files.items()}, {
        reason: count for reason, count in seen.passed_over.items() if count
    }


def test_hidden_files_and_files_of_other_kinds_are_counted(tmp_path):
    touched(tmp_path, "a.svs", "._a.svs", ".DS_Store", "notes.txt", "b.TIFF", ".trash/c.svs")
    assert found(tmp_path) == (
        {"a": "a.svs", "b": "b.TIFF"},
        {"hidden": 2, "of other kinds": 1},
    )


def test_folders_behind_links_are_searched_and_loops_end(tmp_path):
    inside, outside = tmp_path / "slides", tmp_path / "disk2"
    touched(inside, "u0/P0.svs")
    touched(outside, "u1/P1.svs", "P2.svs")
    (inside / "u1").symlink_to(outside / "u1")
    (inside / "P2.svs").symlink_to(outside / "P2.svs")
    (inside / "again").mkdir()
    (inside / "again" / "P0.svs").symlink_to(inside / "u0" / "P0.svs")
    (inside / "u0" / "up").symlink_to(inside)
    (inside / "P3.svs").symlink_to(outside / "absent.svs")
    files, passed = found(inside)
    assert files == {"P0": "again/P0.svs", "P1": "u1/P1.svs", "P2": "P2.svs"}
    assert passed == {"links to slides found before": 1, "links to nothing": 1}


@pytest.mark.parametrize(
    "picture",
    [
        "label.png",
        "a_label.png",
        "a-macro.jpg",
        "a.thumbnail.jpeg",
        "A_x/macro_a.png",
        "a label.tif",
    ],
)
def test_pictures_of_a_slide_are_no_slides(tmp_path, picture):
    touched(tmp_path, "a.svs", picture)
    assert found(tmp_path) == ({"a": "a.svs"}, {"label, macro or thumbnail images": 1})


def test_a_picture_that_is_of_no_slide_here_or_that_a_table_names_is_a_slide(tmp_path):
    touched(tmp_path, "a_macro.png", "b.svs", "b_map.tif", "roadmap.png")
    assert found(tmp_path, ["b_map"])[0].keys() == {"a_macro", "b", "b_map", "roadmap"}


def test_flat_slides_are_slides_and_a_thumbnail_beside_its_pyramid_is_none(tmp_path):
    touched(tmp_path, "a.png", "b.jpg", "c.svs", "thumbs/c.png")
    files, passed = found(tmp_path)
    assert files == {"a": "a.png", "b": "b.jpg", "c": "c.svs"}
    assert passed == {"flat images beside a slide of their name": 1}
    assert found(tmp_path, ["c.png"])[0]["c"] == "thumbs/c.png"  # a table decides


@pytest.mark.parametrize("other", ["a.png", "a.svs", "x/a.tif"])
def test_two_files_that_may_both_be_the_slide_are_refused(tmp_path, other):
    touched(tmp_path, "a.tif", other)
    with pytest.raises(DataError, match="are two slides of one name, 'a'.* Rename or remove one"):
        find_slides(tmp_path)
    if other == "a.png":
        with pytest.raises(DataError, match="If a.png is an overview image of the slide, move it"):
            find_slides(tmp_path)


def test_names_that_differ_in_unicodes_form_only_are_one_and_are_refused(tmp_path):
    one, other = (unicodedata.normalize(form, "ü.svs") for form in ("NFC", "NFD"))
    touched(tmp_path, other)
    assert list(found(tmp_path)[0]) == ["\u00fc"]
    touched(tmp_path, one)
    with pytest.raises(DataError, match="spelt in two forms of Unicode"):
        find_slides(tmp_path)


@pytest.mark.parametrize("name", ["S{2}.tif", "a*.svs", "a,b.svs", " a.svs", "$a.svs", "a\n.svs"])
def test_a_name_that_cannot_stand_in_paths_is_refused(tmp_path, name):
    touched(tmp_path, name)
    with pytest.raises(DataError, match="cannot be used: it .*Rename it; names of slides hold"):
        find_slides(tmp_path)


def test_mirax_and_hamamatsu_slides_are_one_each(tmp_path):
    touched(tmp_path, "m.mrxs", "m/Slidedat.ini", "m/Data0000.dat", "m/preview.jpg")
    touched(tmp_path, "v.jpg", "v(1,0).jpg", "v_map2.jpg", "v_macro.jpg", "v.opt", "w.jpg")
    (tmp_path / "v.vms").write_text(
        "[Virtual Microscope Specimen]\nNoLayers=1\nImageFile=v.jpg\nImageFile(1,0)=v(1,0).jpg\n"
        "MapFile=v_map2.jpg\nMacroImage=v_macro.jpg\nOptimisationFile=v.opt\n",
        encoding="utf-8",
    )
    files, passed = found(tmp_path)
    assert files == {"m": "m.mrxs", "v": "v.vms", "w": "w.jpg"}
    assert passed == {"parts of other slides": 8}


def written(folder, **heads):
    folder.mkdir(parents=True, exist_ok=True)
    for name, head in heads.items():
        (folder / f"{name}.dcm").write_bytes(dicom(*head))


def test_a_dicom_series_is_one_slide_named_by_its_folder(tmp_path):
    for case in ("P1", "P2"):
        written(tmp_path / case, a=(case, "LABEL"), b=(case, "VOLUME"), c=(case, "VOLUME"),
                d=(case, "THUMBNAIL"), e=(case, "OVERVIEW"))  # fmt: skip
    written(tmp_path, P3=("P3", "VOLUME"), P4=("P4", "VOLUME"), lab=("P5", "LABEL"))
    touched(tmp_path, "odd.dcm")  # whatever it is, its own slide: opening it will say
    files, passed = found(tmp_path)
    assert files == {"P1": "P1/b.dcm", "P2": "P2/b.dcm", "P3": "P3.dcm", "P4": "P4.dcm",
                     "odd": "odd.dcm"}  # fmt: skip
    assert passed == {"label, macro or thumbnail images": 7, "parts of other slides": 2}


def test_two_series_of_several_files_in_one_folder_are_refused(tmp_path):
    written(tmp_path / "x", a=("1", "VOLUME"), b=("1", "VOLUME"), c=("2", "VOLUME"))
    with pytest.raises(DataError, match="x holds 2 series .* Put each series into a folder"):
        find_slides(tmp_path)


def test_slides_in_five_thousand_folders_are_found(tmp_path):
    for number in range(5000):
        (tmp_path / f"u{number}").mkdir()
        (tmp_path / f"u{number}" / f"TCGA-{number:04d}.svs").touch()
    assert len(find_slides(tmp_path).files) == 5000


def test_what_lies_deep_in_a_mirax_folder_is_part_of_it(tmp_path):
    touched(tmp_path, "m.mrxs", "m/sub/preview.jpg", unicodedata.normalize("NFD", "ü.mrxs"))
    touched(tmp_path, "ü/preview.jpg")
    files, passed = found(tmp_path)
    assert set(files) == {"m", "ü"}
    assert passed == {"parts of other slides": 2}


def test_folders_of_file_servers_hold_no_slides(tmp_path):
    touched(tmp_path, "a.svs", "@eaDir/a.svs/thumb.jpg", "#recycle/a.svs", "$RECYCLE.BIN/b.svs")
    assert found(tmp_path)[0] == {"a": "a.svs"}


def test_a_link_to_a_slide_here_is_no_second_slide_unless_the_table_names_it(tmp_path):
    touched(tmp_path, "a.svs")
    (tmp_path / "b.svs").symlink_to("a.svs")
    files, passed = found(tmp_path)
    assert files == {"a": "a.svs"}
    assert passed == {"links to slides found before": 1}
    assert set(find_slides(tmp_path, ["b.svs"]).files) == {"a", "b"}


@pytest.mark.parametrize("name", ["a.dcm", "a.vms"])
def test_a_pipe_is_not_waited_for(tmp_path, name):
    os.mkfifo(tmp_path / name)
    assert found(tmp_path)[0] == {"a": name}
