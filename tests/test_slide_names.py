from cryotome.slide_names import files_below, slide_of


def test_only_known_suffixes_are_taken_off():
    assert slide_of("a.b.svs") == slide_of("a.b") == "a.b"
    assert (
        slide_of("TCGA-3L-AA1B-01Z-00-DX1.8923A151-A690") == "TCGA-3L-AA1B-01Z-00-DX1.8923A151-A690"
    )
    assert slide_of("01CO001-1a2b.SVS") == "01CO001-1a2b"


def test_decomposed_and_composed_spellings_are_one_name():
    assert slide_of("u\u0308ber.svs") == slide_of("\u00fcber.tif") == "\u00fcber"


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
    assert list(files_below(inside)) == [inside / "a.svs", inside / "case" / "c.svs"]
