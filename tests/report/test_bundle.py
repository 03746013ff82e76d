import json
import zipfile

import pytest
from conftest import CONFIG

from cryotome.core.errors import StoreError
from cryotome.report.bundle import METADATA, save_metadata, save_versions, unpack, write_zip
from cryotome.study.gather_facts import page_facts
from cryotome.study.load import load_study


@pytest.fixture
def archive(tmp_path):
    stage = tmp_path / "stage"
    for name in ("results/studies/demo/table2.csv", "config/config.yaml", "results/a = b?.csv"):
        (stage / name).parent.mkdir(parents=True, exist_ok=True)
        (stage / name).write_text(f"{name}\n", encoding="utf-8")
    save_versions(stage, study="demo", config="config/config.yaml")
    facts = page_facts(load_study("demo", CONFIG)[0])
    save_metadata(stage, facts, "2026-11-30T10:00:00+00:00")
    write_zip(stage, tmp_path / "one.zip")
    write_zip(stage, tmp_path / "two.zip")
    return tmp_path / "one.zip"


def altered(archive, name, content):
    """Return a copy of an archive with another content of one file; without it for None."""
    to = archive.with_name("altered.zip")
    with zipfile.ZipFile(archive) as given, zipfile.ZipFile(to, "w") as new:
        for info in given.infolist():
            if info.filename != name:
                new.writestr(info, given.read(info))
        if content is not None:
            new.writestr(name, content)
    return to


def test_equal_folders_are_equal_archives_that_read_back(archive, tmp_path):
    assert archive.read_bytes() == archive.with_name("two.zip").read_bytes()
    bundle = unpack(archive, tmp_path / "out")
    assert (bundle.about["study"], bundle.problems) == ("demo", [])
    assert (tmp_path / "out/results/a = b?.csv").read_text(encoding="utf-8").startswith("results")


def test_the_metadata_say_what_each_table_shows_and_where_the_cells_come_from(archive, tmp_path):
    unpack(archive, tmp_path / "out")
    graph = json.loads((tmp_path / "out" / METADATA).read_text(encoding="utf-8"))["@graph"]
    by_id = {one["@id"]: one for one in graph}
    table = by_id["results/studies/demo/table2.csv"]
    assert "in domain, and out of domain" in table["description"] and len(table["sha256"]) == 64
    assert by_id["#demo_rois"]["@type"] == "Dataset"
    assert by_id["#run"]["result"] == [{"@id": "results/studies/demo/table2.csv"}]


def test_an_altered_a_missing_and_a_new_file_are_named(archive, tmp_path):
    name = "results/studies/demo/table2.csv"
    found = unpack(altered(archive, name, "other\n"), tmp_path / "a").problems
    assert found == [f"{name} was altered: {METADATA} lists another sha256."]
    found = unpack(altered(archive, name, None), tmp_path / "b").problems
    assert found == [f"{name} is missing. Ask for the whole archive."]
    found = unpack(altered(archive, "results/new.csv", "x"), tmp_path / "c").problems
    assert found == [f"results/new.csv is not listed in {METADATA}."]


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"no zip", "cannot be read as a zip archive"), (None, "is no bundle of cryotome")],
)
def test_what_is_no_bundle_is_called_that(archive, tmp_path, content, said):
    path = tmp_path / "x.zip"
    if content is None:
        path = altered(archive, "versions.json", "{}")
    else:
        path.write_bytes(content)
    with pytest.raises(StoreError, match=said):
        unpack(path, tmp_path / "out")


def test_a_name_that_leads_out_of_the_folder_is_refused(archive, tmp_path):
    path = altered(archive, "../evil.csv", "x")
    with pytest.raises(StoreError, match="leads out of its folder"):
        unpack(path, tmp_path / "out/deep")
    assert not (tmp_path / "out/evil.csv").exists()


def test_an_encrypted_file_is_named(archive, tmp_path):
    content, name = bytearray(archive.read_bytes()), "results/studies/demo/table2.csv"
    for head, flags, length in ((b"PK\3\4", 6, 30), (b"PK\1\2", 8, 46)):  # of both directories
        at = content.index(head)
        while not content.startswith(name.encode(), at + length):
            at = content.index(head, at + 1)
        content[at + flags] |= 1
    path = tmp_path / "encrypted.zip"
    path.write_bytes(content)
    found = unpack(path, tmp_path / "out").problems
    assert f"{name} is damaged (" in found[0] and "encrypted" in found[0]
