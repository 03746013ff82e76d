"""Listings as Zenodo, figshare and GitHub give them, from a local server; and the real names."""

import csv
import json
from pathlib import Path

import pytest
from broken_server import says, serving
from conftest import CONFIG
from tests.data.downloads.test_http_client import QUICK

from cryotome.core.cards import load_card, read_yaml
from cryotome.core.errors import CardError, DownloadError
from cryotome.core.schemas import validate
from cryotome.data.downloads.http_client import HttpClient
from cryotome.data.downloads.repositories import RemoteFile, list_record, select_files

RECORDS = sorted(path.stem for path in CONFIG.glob("downloads/*.yaml"))
MD5 = "686c91bcabcc079a000a5be13cc2f542"


@pytest.fixture
def server():
    with serving() as site:
        yield site


def listed(record: dict) -> list[RemoteFile]:
    ask = HttpClient(QUICK).json
    return list_record(record, ask, ask)


def test_a_zenodo_record_lists_names_addresses_sizes_and_md5(server):
    files = [
        {"key": "001.png", "size": 5, "checksum": f"md5:{MD5}", "links": {"self": "http://z/001"}},
        {"key": "a.json", "size": 7, "links": {"self": "http://z/a"}},
    ]
    server.put("/records/6547151", {"files": files})
    assert listed({"zenodo": 6547151, "api_url": server.url}) == [
        RemoteFile("001.png", ("http://z/001",), 5, f"md5:{MD5}"),
        RemoteFile("a.json", ("http://z/a",), 7, None),
    ]


def figshare(server, **articles: list[dict]) -> dict:
    server.put("/collections/7/articles", [{"id": int(one[1:])} for one in articles])
    for one, files in articles.items():
        server.put(f"/articles/{one[1:]}/files", files)
    return {"figshare_collection": 7, "api_url": server.url}


def file(name: str, size: int = 5, **md5s: str) -> dict:
    return {"name": name, "size": size, "download_url": f"http://f/{name}"} | md5s


def test_a_figshare_collection_lists_the_files_of_all_its_articles(server):
    record = figshare(
        server,
        a12=[file("002.tiff", supplied_md5=MD5, computed_md5="")],
        a11=[file("001.tiff", computed_md5=MD5), file("x.sqlite", supplied_md5="")],
    )
    assert listed(record) == [
        RemoteFile("001.tiff", ("http://f/001.tiff",), 5, f"md5:{MD5}"),
        RemoteFile("x.sqlite", ("http://f/x.sqlite",), 5, None),
        RemoteFile("002.tiff", ("http://f/002.tiff",), 5, f"md5:{MD5}"),
    ]
    assert len(server.requests("/collections/7/articles")) == 1, "one page: several repeat"


def test_figshares_rate_limit_is_waited_for(server):
    record = figshare(server, a11=[file("001.tiff")])
    page = server.pages["/articles/11/files"]
    page.manners = [says(403), says(403), says(200, page.content)]
    assert [remote.name for remote in listed(record)] == ["001.tiff"]


def test_a_github_tree_gives_object_ids_as_checksums(server):
    tree = [
        {"path": "patches/Normal", "type": "tree", "sha": "t"},
        {"path": "patches/Normal/A 1.png", "type": "blob", "sha": "f2ba", "size": 3},
    ]
    server.put("/repos/owner/name/git/trees/main", {"tree": tree, "truncated": False})
    record = {"github": "owner/name", "revision": "main", "api_url": server.url}
    url = f"{server.url}/owner/name/main/patches/Normal/A%201.png"
    assert listed(record) == [RemoteFile("patches/Normal/A 1.png", (url,), 3, "git:f2ba")]
    server.put("/repos/owner/name/git/trees/main", {"tree": tree, "truncated": True})
    with pytest.raises(DownloadError, match="owner/name has more files than"):
        listed(record)


def test_plain_addresses_need_no_interface():
    record = {"files": [{"name": "a", "url": "http://f/a", "md5": MD5}, {"name": "b", "url": "u"}]}
    assert listed(record) == [
        RemoteFile("a", ("http://f/a",), None, f"md5:{MD5}"),
        RemoteFile("b", ("u",), None, None),
    ]


@pytest.mark.parametrize(
    "answer", [{"entries": []}, [], {"files": [{"key": "a"}]}, {"files": None}]
)
def test_an_interface_that_has_changed_is_named(server, answer):
    server.put("/records/1", json.loads(json.dumps(answer)))
    with pytest.raises(DownloadError, match="zenodo 1 does not list its files as it used to"):
        listed({"zenodo": 1, "api_url": server.url})


CARD = {"files": {r"(?:.*/)?(\d+\.png)": r"mine/images/\1", "a.json": "mine/b.json"}, "expect": 2}
FILES = [
    RemoteFile("x/1.png", ("u",), 5, f"md5:{MD5}"),
    RemoteFile("a.json", ("v",)),
    RemoteFile("c", ()),
]


def test_the_files_that_the_card_asks_for_get_their_places():
    found = select_files(CARD, "r", FILES)
    assert [(remote.name, remote.target) for remote in found] == [
        ("x/1.png", "mine/images/1.png"),
        ("a.json", "mine/b.json"),
    ]


def test_mirrors_come_after_the_records_own_address():
    found = select_files(CARD | {"mirrors": ["http://m/1/", "http://n"]}, "r", FILES)
    assert found[0].urls == ("u", "http://m/1/x/1.png", "http://n/x/1.png")


def test_another_number_of_files_than_expected_is_named():
    with pytest.raises(DownloadError, match="r: 2 files .* expects 3. The record lists 3: a.json"):
        select_files(CARD | {"expect": 3}, "r", FILES)


def test_an_md5_that_the_card_knows_counts_and_may_not_be_contradicted():
    found = select_files(CARD | {"md5": {"a.json": MD5}}, "r", FILES)
    assert found[1].checksum == f"md5:{MD5}"
    with pytest.raises(
        DownloadError, match=f"the record lists md5:{MD5} for x/1.png, its card md5:00"
    ):
        select_files(CARD | {"md5": {"x/1.png": "0" * 32}}, "r", FILES)


@pytest.mark.parametrize("name", ["../../1.png", "/1.png", "a/../../1.png"])
def test_a_name_that_leads_out_of_data_root_is_refused(name):
    card = CARD | {"files": {r"(.*\.png)": r"\1"}, "expect": 1}
    with pytest.raises(DownloadError, match="r: .* would leave `data_root`"):
        select_files(card, "r", [RemoteFile(name, ("u",))])
    assert (
        select_files(CARD, "r", [RemoteFile(name, ("u",)), FILES[1]])[0].target
        == "mine/images/1.png"
    )


def test_the_same_file_listed_twice_is_one_and_two_for_one_place_are_refused():
    assert len(select_files(CARD, "r", [*FILES, FILES[0]])) == 2
    with pytest.raises(DownloadError, match="r: the record has two files for mine/images/1.png"):
        select_files(CARD, "r", [*FILES, RemoteFile("y/1.png", ("u",), 5, "md5:" + "0" * 32)])


def test_the_real_records_file_names_go_where_the_datasets_look(shared):
    """The names of 971 files of the public records, as others have listed them."""
    with open(shared / "downloads.tsv", encoding="utf-8") as lines:
        rows = [(r["dataset"], r["file_name"]) for r in csv.DictReader(lines, delimiter="\t")]
    places = {}
    for record in ("midog2022", "midogpp", "ccmct", "nct_crc"):
        names = [RemoteFile(name, ("u",)) for dataset, name in rows if dataset == record]
        places[record] = {
            r.target for r in select_files(load_card(CONFIG, "downloads", record), record, names)
        }
    images = load_card(CONFIG, "datasets", "midog2022")["images"]
    assert places["midog2022"] == {f"{images}/{n:03d}.png" for n in range(1, 355)}
    assert len(places["midogpp"]) == 503
    assert {p.rsplit("/", 1)[0] for p in places["midogpp"]} == {load_card(CONFIG, "datasets", "midogpp")["images"]}  # fmt: skip
    ccmct = load_card(CONFIG, "datasets", "ccmct")
    assert ccmct["annotations"] in places["ccmct"]
    assert sum(place.startswith(ccmct["images"] + "/") for place in places["ccmct"]) == 32
    assert places["nct_crc"] == {"nct_crc/NCT-CRC-HE-100K.zip", "nct_crc/CRC-VAL-HE-7K.zip"}


def test_amibr_crops_go_where_the_dataset_looks(shared):
    crops = [p.relative_to(shared / "amibr") for p in (shared / "amibr").glob("*/*.png")]
    names = [f"patches/{crop}" for crop in crops] + ["AMi-Br.csv", "README.md", "images/s.jpg"]
    card = load_card(CONFIG, "downloads", "amibr")
    places = {
        remote.target
        for remote in select_files(card, "amibr", [RemoteFile(n, ("u",)) for n in names])
    }
    assert places == {f"amibr/{crop}" for crop in crops} | {"amibr/AMI-BR.csv"}


def test_what_datasets_name_exists_and_holds_what_they_read():
    named = set()
    for path in CONFIG.glob("datasets/*.yaml"):
        card = read_yaml(path)
        records = card.get("download", [])
        records = [records] if isinstance(records, str) else records
        named |= set(records)
        places = [
            p for one in records for p in load_card(CONFIG, "downloads", one)["files"].values()
        ]
        if records:
            folder = Path(card["images"])  # or that of the archive it is unpacked from
            assert any(Path(p).is_relative_to(folder) or Path(p).parent == folder.parent
                       for p in places), path  # fmt: skip
    assert named <= set(RECORDS)
    assert RECORDS == [
        "amibr", "amibr_benchmark", "ccmct", "midog2022", "midogpp", "midogpp_annotations",
        "nct_crc",
    ]  # fmt: skip


@pytest.mark.parametrize("target", ["/etc/x", "../x", "a/../../x", "", "a\\..\\x", "C:/x"])
def test_no_file_of_a_record_goes_out_of_the_data(target):
    card = CARD | {"files": {"(.*)": r"\1"}, "expect": 1, "md5": {}}
    with pytest.raises(DownloadError, match="would leave `data_root`"):
        select_files(card, "r", [RemoteFile(target, ("u",), 5)])


@pytest.mark.parametrize("template", ["/etc/\\1", "../\\1", "a/../../\\1", ""])
def test_no_card_of_a_record_leads_out_of_the_data(template):
    card = load_card(CONFIG, "downloads", "midog2022") | {"files": {".*": template}}
    with pytest.raises(CardError, match="files"):
        validate(card, "download", "mine.yaml")


def test_a_file_of_unknown_size_may_have_twice_the_cards_gigabytes():
    found = select_files(CARD | {"gigabytes": 0.25}, "r", FILES)
    assert [remote.max_bytes for remote in found] == [500_000_000] * 2


@pytest.mark.parametrize(
    "change",
    [{"size": "many"}, {"size": -1}, {"size": True}, {"size": 1.5}, {"size": [5]}, {"key": None},
     {"key": 7}, {"checksum": 5}, {"links": {"self": None}}, {"links": []}],
)  # fmt: skip
def test_a_listing_of_the_wrong_kinds_is_named(server, change):
    file = {"key": "a.png", "size": 5, "checksum": f"md5:{MD5}", "links": {"self": "http://z/a"}}
    server.put("/records/1", {"files": [file | change]})
    with pytest.raises(DownloadError, match="zenodo 1 does not list its files as it used to"):
        listed({"zenodo": 1, "api_url": server.url})
