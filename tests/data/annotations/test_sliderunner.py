import shutil
import sqlite3
from contextlib import closing

import pytest
from conftest import CONFIG
from dataset_cells import read_dataset

from cryotome.core.cards import load_card
from cryotome.core.errors import DataError
from cryotome.data.annotations.formats import READERS
from cryotome.data.annotations.sliderunner import read_sliderunner
from cryotome.data.cells import read_cells
from cryotome.data.demo.mitoses import make_sliderunner_set

CARD = {
    "reader": "sliderunner_sqlite",
    "classes": [{"name": "look-alike", "id": 2}, {"name": "mitotic figure", "id": 1}],
    "domains": {"lab": {"title": "lab", "where": {}}},
}
SCHEMA = """
CREATE TABLE Slides (uid INTEGER PRIMARY KEY, filename TEXT, width INTEGER, height INTEGER,
                     directory TEXT);
CREATE TABLE Classes (uid INTEGER PRIMARY KEY, name TEXT);
CREATE TABLE Annotations (uid INTEGER PRIMARY KEY, slide INTEGER, deleted INTEGER DEFAULT 0,
                          type INTEGER, agreedClass INTEGER);
CREATE TABLE Annotations_coordinates (uid INTEGER PRIMARY KEY, coordinateX, coordinateY,
                                      annoId INTEGER, orderIdx INTEGER);
"""
NAMES = ((1, "mitotic figure"), (2, "not mitotic figure"))


def make(path, annotations, slides=((1, "a.svs", ""),), names=NAMES):
    """Write annotations (slide, type, class, positions) or (…, deleted), numbered from 1."""
    with closing(sqlite3.connect(path)) as base:
        base.executescript(SCHEMA)
        for uid, filename, directory in slides:
            base.execute(
                "INSERT INTO Slides VALUES (?, ?, 400, 300, ?)", (uid, filename, directory)
            )
        base.executemany("INSERT INTO Classes VALUES (?, ?)", names)
        for uid, (slide, kind, label, places, *deleted) in enumerate(annotations, 1):
            row = (uid, slide, *(deleted or [0]), kind, label)
            base.execute("INSERT INTO Annotations VALUES (?, ?, ?, ?, ?)", row)
            for order, (x, y) in enumerate(places, 1):
                point = (x, y, uid, order)
                base.execute("INSERT INTO Annotations_coordinates VALUES (NULL, ?, ?, ?, ?)", point)
        base.commit()
    return path


def spots(*slides):
    """One point a slide given, of the two classes in turn, at x = 1, 2, …"""
    return [(slide, 1, 1 + n % 2, [(n + 1, 5)]) for n, slide in enumerate(slides)]


def read(path, **reading):
    card = CARD | ({"reading": reading} if reading else {})
    return read_cells(path, path.parent / "images", card, "d")


EVERY_KIND = [
    (1, 1, 1, [(60, 160)]),
    (1, 2, 2, [(85, 215), (135, 265)]),
    (1, 3, 1, [(140, 140), (180, 140), (180, 180), (150, 200)]),
    (1, 4, 2, [(210, 240)]),
    (1, 5, 1, [(235, 135), (285, 185)]),
    (1, 1, 3, [(1, 1)]),
    (1, 1, None, [(1, 1)]),
    (1, 1, 1, [(1, 1)], 1),
    (1, 1, 1, []),
    (1, 1, 1, [(1, 1), (9, 9)]),
    (7, 1, 1, [(1, 1)]),
    (1, 2, 1, [(1, 1)]),
    (1, 9, 1, [(1, 1)]),
]


def test_what_is_passed_over_is_counted_by_reason(tmp_path, capsys):
    names = (*NAMES, (3, "tumor cell"))
    cells = read(make(tmp_path / "a.sqlite", EVERY_KIND, names=names))
    assert cells[["x", "y", "label"]].to_numpy().tolist() == [[60, 160, 1], [210, 240, 0]]
    lines = capsys.readouterr().err.splitlines()
    line = next(line for line in lines if "annotations found" in line)
    assert "a.sqlite: 13 annotations found, 2 read, 11 passed over: " in line
    for said in (
        "2 rectangles (not in `kinds`)", "1 polygons (not in `kinds`)", "1 circles (not in `kinds`)",
        "1 of class 3 (tumor cell)", "1 without a class", "1 deleted", "1 without coordinates",
        "1 spots with several positions", "1 on slides that `Slides` does not list",
        "1 of type 9 (not in `kinds`)",
    ):  # fmt: skip
        assert said in line


def test_kinds_that_the_card_names_are_read_at_the_middle_of_their_box(tmp_path, capsys):
    path = make(tmp_path / "a.sqlite", EVERY_KIND)
    cells = read(path, kinds=["spot", "rectangle", "polygon", "circle"])
    assert cells[["x", "y", "label"]].to_numpy().tolist() == [
        [60, 160, 1], [110, 240, 0], [160, 170, 1], [210, 240, 0], [260, 160, 1],
    ]  # fmt: skip
    assert "1 rectangles of one corner" in capsys.readouterr().err
    assert len(read(path, kinds=["rectangle", "circle"])) == 2


def test_a_database_without_coordinates_is_counted_before_it_is_refused(tmp_path, capsys):
    path = make(tmp_path / "a.sqlite", [(1, 1, 1, []), (1, 2, 2, [])])
    with pytest.raises(DataError, match="none of class"):
        read(path)
    assert "0 read, 2 passed over: 1 without coordinates, 1 rect" in capsys.readouterr().err
    with pytest.raises(DataError, match="none of class"):
        read(make(tmp_path / "b.sqlite", []))


def test_a_position_that_is_no_number_is_refused(tmp_path):
    rows = [*spots(1, 1), (1, 1, 1, [("north", 5)]), (1, 2, 1, [(1, 1), (None, 5)])]
    for kinds, count in ((["spot"], 1), (["spot", "rectangle"], 2)):
        (tmp_path / "a.sqlite").unlink(missing_ok=True)
        path = make(tmp_path / "a.sqlite", rows)
        with pytest.raises(DataError, match=rf"{count} cells have no position"):
            read(path, kinds=kinds)


@pytest.mark.parametrize(
    ("folders", "found"),
    [
        (("caseA", "caseB"), ("caseA/s.png", "caseB/s.png")),
        (("./caseA/", "case\\B"), ("caseA/s.png", "case/B/s.png")),
        (("/data/scans/caseA", "/data/scans/caseB"), ("caseA/s.png", "caseB/s.png")),
        (("C:\\scans\\caseA", "C:\\scans\\x\\caseB"), ("caseA/s.png", "x/caseB/s.png")),
        (("/scans", "/scans/b"), ("s.png", "b/s.png")),
        (("", "b"), ("s.png", "b/s.png")),
        (("C:\\a", "D:\\a"), None),
    ],
)
def test_slides_that_share_a_file_name_are_told_apart_by_their_directories(
    tmp_path, folders, found
):
    slides = [(n, "s.png", folder) for n, folder in enumerate(folders, 1)]
    path = make(tmp_path / "a.sqlite", spots(1, 2, 1, 2), slides)
    if found is None:
        with pytest.raises(DataError, match="it leads out of the folder"):
            read(path)
        return
    cells = read(path)
    places = zip(cells["slide"], cells["image"], cells["x"], strict=True)
    assert sorted(places) == sorted(
        (name, name, x) for name, x in zip(found * 2, (1, 2, 3, 4), strict=True)
    )


@pytest.mark.parametrize("folders", [("caseA", "caseA"), (None, None), ("", "."), ("/x", "/x/")])
def test_slides_that_cannot_be_told_apart_are_refused(tmp_path, folders):
    slides = [(n, "s.png", folder) for n, folder in enumerate(folders, 1)]
    path = make(tmp_path / "a.sqlite", spots(1, 2), slides)
    with pytest.raises(
        DataError, match=r"`Slides` lists 's.png' twice, uid 1 in directory .*uid 2"
    ):
        read(path)


def test_directories_of_slides_with_names_of_their_own_do_not_count(tmp_path):
    slides = [(1, "a.png", "/disk/x"), (2, "b.png", "C:\\y"), (3, "a.png", "/disk/x")]
    cells = read(make(tmp_path / "a.sqlite", spots(1, 2), slides))
    assert cells["image"].tolist() == ["a.png", "b.png"]  # slide 3 has no annotations


def test_names_that_differ_by_composition_are_one(tmp_path):
    slides = [(1, "u\u0308.png", ""), (2, "\u00fc.png", "")]
    with pytest.raises(DataError, match="`Slides` lists .* twice"):
        read(make(tmp_path / "a.sqlite", spots(1, 2), slides))


def test_classes_that_contradict_the_card_stop(tmp_path):
    swapped = ((2, "mitotic figure"), (1, "mitotic figure look-alike"))
    with pytest.raises(
        DataError, match=r"`Classes` calls class 2 'mitotic figure', and the dataset"
    ):
        read(make(tmp_path / "a.sqlite", spots(1, 1), names=swapped))
    by_name = [{"name": "look-alike", "id": "NOT mitotic-figure"}, CARD["classes"][1]]
    path = make(tmp_path / "b.sqlite", spots(1, 1))
    cells = read_cells(path, tmp_path, CARD | {"classes": by_name}, "d")
    assert cells["label"].tolist() == [1, 0]


def test_source_row_is_the_order_of_the_annotations(tmp_path):
    slides = [(1, "b.png", ""), (2, "a.png", "")]
    cells = read(make(tmp_path / "a.sqlite", spots(1, 2, 1, 2), slides))
    assert cells["image"].tolist() == ["a.png", "a.png", "b.png", "b.png"]
    assert cells["source_row"].tolist() == [1, 3, 0, 2]


def test_sizes_of_slides_are_given_on(tmp_path):
    found = read_sliderunner(make(tmp_path / "a.sqlite", spots(1, 1)), tmp_path, CARD)
    assert found[["width", "height"]].to_numpy().tolist() == [[400, 300]] * 2


def in_wal(path, *, content):
    """Make a database in WAL mode; with content, its second cell is in the -wal file alone."""
    source = path.parent / "source" / path.name
    source.parent.mkdir()
    make(source, spots(1, 1))
    with closing(sqlite3.connect(source)) as base:
        base.execute("PRAGMA journal_mode = WAL")
        base.execute("PRAGMA wal_autocheckpoint = 0")
        base.execute("UPDATE Slides SET filename = 'new.svs'")
        base.commit()
        if not content:
            base.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        for file in source.parent.iterdir():
            if content or file.name == path.name:
                shutil.copy(file, path.parent)
    (path.parent / f"{path.name}-shm").unlink(missing_ok=True)
    shutil.rmtree(source.parent)
    return path


@pytest.mark.parametrize("content", [False, True])
def test_a_database_in_wal_mode_is_read_whole_and_nothing_is_written_beside_it(
    tmp_path, capsys, content
):
    path = in_wal(tmp_path / "a.sqlite", content=content)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    assert ("a.sqlite-wal" in before) == content
    tmp_path.chmod(0o555)
    try:
        cells = read(path)
    finally:
        tmp_path.chmod(0o755)
    assert cells["image"].tolist() == ["new.svs", "new.svs"]
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before
    assert ("a.sqlite-wal beside it is read, too" in capsys.readouterr().err) == content


def test_a_transaction_that_was_killed_is_rolled_back(tmp_path):
    """The journal beside the database holds the pages as they were before."""
    source = make(tmp_path / "source.sqlite", spots(1, 1))
    with closing(sqlite3.connect(source)) as base:
        base.execute("PRAGMA cache_size = 1")
        base.execute("UPDATE Slides SET filename = 'half.svs'")
        for _ in range(2000):
            base.execute("INSERT INTO Slides VALUES (NULL, ?, 1, 1, '')", ["x" * 200])
        for end in ("", "-journal"):
            shutil.copy(f"{source}{end}", tmp_path / f"a.sqlite{end}")
        base.rollback()
    assert read(tmp_path / "a.sqlite")["image"].tolist() == ["a.svs", "a.svs"]
    assert (tmp_path / "a.sqlite-journal").exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"version https://git-lfs.github.com/spec/v1\n" + b"x" * 90, "a Git-LFS pointer"),
        (b"<html>404</html>" * 100, "an HTML page"),
        (b"\x1f\x8b\x08" + b"x" * 100, "gzip; unpack it"),
    ],
)
def test_what_stands_in_place_of_a_database_is_named(tmp_path, content, said):
    (tmp_path / "a.sqlite").write_bytes(content)
    with pytest.raises(DataError, match=rf"a.sqlite is no SlideRunner database .*\({said}"):
        read(tmp_path / "a.sqlite")


def test_a_database_that_changes_meanwhile_is_named(tmp_path, monkeypatch):
    path = make(tmp_path / "a.sqlite", spots(1, 1))
    stamps = iter([[(1, 1)], [(2, 2)]])
    monkeypatch.setattr(
        "cryotome.data.annotations.sliderunner._file_versions", lambda files: next(stamps)
    )
    with pytest.raises(DataError, match=r"a.sqlite changed while it was read. Close SlideRunner"):
        read(path)


def test_the_real_sliderunner_database_gives_1721_and_2714(shared):
    cells = read_dataset("midog2021", shared)
    assert (cells["label"].sum(), (1 - cells["label"]).sum()) == (1721, 2714)


def test_the_old_generation_of_sliderunner_reads_too(tmp_path):
    """Built from the schema: no real database of the old generation is at hand."""
    (tmp_path / "demo" / "slides").mkdir(parents=True)
    make_sliderunner_set(
        tmp_path / "demo/slides/annotations.sqlite", tmp_path / "demo/slides/images", side=256
    )
    cells = read_dataset("demo_slides", tmp_path)
    assert len(cells) == 8 * 49  # the tumour cells are left out
    assert cells["image"].nunique() == 8


def test_a_database_is_opened_read_only(tmp_path):
    (tmp_path / "demo" / "slides").mkdir(parents=True)
    path = tmp_path / "demo/slides/annotations.sqlite"
    make_sliderunner_set(path, tmp_path / "demo/slides/images", side=256)
    before = path.read_bytes()
    path.chmod(0o444)
    read_dataset("demo_slides", tmp_path)
    assert path.read_bytes() == before
    with sqlite3.connect(path) as database:
        columns = {row[1] for row in database.execute("PRAGMA table_info(Annotations)")}
    database.close()
    assert "deleted" not in columns


def test_deleted_annotations_of_the_new_generation_are_left_out(shared, tmp_path):
    path = tmp_path / "MIDOG.sqlite"
    path.write_bytes((shared / "midog2021" / "MIDOG.sqlite").read_bytes())
    database = sqlite3.connect(path)
    for (trigger,) in list(
        database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
    ):
        database.execute(f"DROP TRIGGER {trigger}")  # they call Python functions of SlideRunner
    database.execute(
        "UPDATE Annotations SET deleted = 1 WHERE uid IN (SELECT uid FROM Annotations LIMIT 10)"
    )
    database.commit()
    database.close()
    card = load_card(CONFIG, "datasets", "midog2021")
    assert len(read_cells(path, tmp_path, card, "midog2021")) == 4435 - 10


def test_what_is_no_sliderunner_database_is_refused(tmp_path):
    card = load_card(CONFIG, "datasets", "ccmct")
    (tmp_path / "a.sqlite").write_text("<html>404</html>" * 100, encoding="utf-8")
    with pytest.raises(DataError, match=r"a.sqlite is no SlideRunner database .* '<html>404"):
        read_cells(tmp_path / "a.sqlite", tmp_path, card, "ccmct")
    with sqlite3.connect(tmp_path / "b.sqlite") as database:
        database.execute("CREATE TABLE other (x)")
    database.close()
    with pytest.raises(DataError, match=r"(?s)b.sqlite is no SlideRunner database .*no such table"):
        read_cells(tmp_path / "b.sqlite", tmp_path, card, "ccmct")


def test_classes_that_the_card_does_not_name_are_counted_by_name(tmp_path, capsys):
    (tmp_path / "demo" / "slides").mkdir(parents=True)
    make_sliderunner_set(
        tmp_path / "demo/slides/annotations.sqlite", tmp_path / "demo/slides/images", side=256
    )
    read_dataset("demo_slides", tmp_path)
    said = "400 annotations found, 392 read, 8 passed over: 8 of class 3 (tumor cell)"
    assert said in capsys.readouterr().err


def test_a_database_whose_names_are_megabytes_takes_little_memory(tmp_path):
    """A view invents 400 names of 8 MB."""
    path = tmp_path / "a.sqlite"
    with sqlite3.connect(path) as file:
        file.executescript("""
            CREATE TABLE Annotations (uid INTEGER, agreedClass INTEGER, slide INTEGER, type INTEGER);
            CREATE TABLE Annotations_coordinates (annoId INTEGER, coordinateX REAL, coordinateY REAL);
            CREATE VIEW Slides AS SELECT 1 AS uid, printf('%.*c', 8000000, 'a') AS filename;
            WITH RECURSIVE n(k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM n WHERE k < 400)
            INSERT INTO Annotations SELECT k, 1, 1, 1 FROM n;
            INSERT INTO Annotations_coordinates SELECT uid, 5, 5 FROM Annotations;
        """)
    card = {"classes": [{"name": "a", "id": 1}]}
    cells = READERS["sliderunner_sqlite"](path, tmp_path, card)
    assert set(cells["image"].str.len()) == {300}  # refused later, for its length
