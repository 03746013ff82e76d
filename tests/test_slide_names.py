from cryotome.slide_names import slide_of


def test_only_known_suffixes_are_taken_off():
    assert slide_of("a.b.svs") == slide_of("a.b") == "a.b"
    assert (
        slide_of("TCGA-3L-AA1B-01Z-00-DX1.8923A151-A690") == "TCGA-3L-AA1B-01Z-00-DX1.8923A151-A690"
    )
    assert slide_of("01CO001-1a2b.SVS") == "01CO001-1a2b"
