"""A whole record: what lies there is kept, what lacks comes, what fails is listed."""

import io
import os
import shutil
import subprocess
import sys
import zipfile
from collections import namedtuple
from pathlib import Path

import pytest
import yaml
from accidents import checkout
from broken_server import breaks, says, sends, serving, throttles, well
from conftest import CONFIG, ROOT
from PIL import Image
from small_study import SMALL, jobs, snakemake
from tests.data.downloads.test_http_client import QUICK

from cryotome.core.errors import DownloadError
from cryotome.data.downloads import download
from cryotome.data.downloads.download import check_space, download_record
from cryotome.data.downloads.http_client import HttpClient
from cryotome.data.downloads.receipts import Cache, VerifiedFile
from cryotome.data.downloads.repositories import RemoteFile
from cryotome.data.downloads.transfer import partial_path

CONTENT = bytes(range(256)) * 40  # 10,240 bytes
NAMES = ["1.png", "2.png", "3.png", "4.png"]
IMAGES = {name: name[0].encode() + CONTENT for name in NAMES}
SIZE = 10_241


@pytest.fixture
def server():
    with serving() as site:
        for name, content in IMAGES.items():
            site.put(f"/{name}", content)
        yield site


def card(server, **changes: object) -> dict:
    about = {"title": "Mine", "source": "here", "licence": "CC0", "gigabytes": 0.1}
    record = server.zenodo(1, *NAMES)
    return about | {"record": record, "files": {r"(\d\.png)": r"mine/\1"}, "expect": 4} | changes


def fetch(card: dict, folder: Path, threads: int = 4) -> list[VerifiedFile]:
    memory = Cache(folder / "results" / "mine.jsonl")
    return download_record(
        card, "mine", folder / "data", memory, threads=threads, web=HttpClient(QUICK)
    )


def asked(server) -> list[str]:
    paths = [line[0] for line in server.asked if not line[0].startswith("/records/")]
    server.asked.clear()
    return sorted(paths)


def test_a_record_is_fetched_and_its_receipt_says_what_was_checked(server, tmp_path):
    held = fetch(card(server), tmp_path)
    for name, content in IMAGES.items():
        assert (tmp_path / "data/mine" / name).read_bytes() == content
    md5 = f"md5:{server.pages['/1.png'].md5}"
    assert held[0] == VerifiedFile("mine/1.png", SIZE, md5, "md5", "fetched", f"{server.url}/1.png")
    assert [one.file for one in held] == [f"mine/{name}" for name in NAMES]


def test_a_receipt_keeps_no_secret_of_an_address(server, tmp_path):
    files = [{"name": "1.png", "url": f"{server.url}/1.png?token=abcdef"}]
    (held,) = fetch(card(server, record={"files": files}, expect=1), tmp_path)
    assert held.source == f"{server.url}/1.png"
    assert "abcdef" not in (tmp_path / "results/mine.jsonl").read_text(encoding="utf-8")


def test_several_files_come_at_once(server, tmp_path):
    for name in NAMES:
        server.pages[f"/{name}"].manners = [throttles(4000, 0.1)]
    fetch(card(server), tmp_path)
    assert server.most_in_flight >= 2


def test_what_is_there_is_not_fetched_again_nor_read_again(server, tmp_path, monkeypatch):
    first = fetch(card(server), tmp_path)
    assert asked(server) == [f"/{name}" for name in NAMES]
    with monkeypatch.context() as patch:
        patch.setattr(download, "checksum_of", lambda *_: pytest.fail("65 GB are read again"))
        assert fetch(card(server), tmp_path) == first
    assert asked(server) == []
    (tmp_path / "data/mine/2.png").unlink()
    assert fetch(card(server), tmp_path) == first
    assert asked(server) == ["/2.png"]


def test_a_file_that_changed_since_it_was_checked_is_checked_again(server, tmp_path):
    fetch(card(server), tmp_path)
    (tmp_path / "data/mine/2.png").write_bytes(IMAGES["3.png"])
    with pytest.raises(DownloadError, match="2.png already exists and is not the record's file"):
        fetch(card(server), tmp_path)


def test_files_brought_by_hand_are_kept_and_counted(server, tmp_path):
    (tmp_path / "data/mine").mkdir(parents=True)
    (tmp_path / "data/mine/1.png").write_bytes(IMAGES["1.png"])
    held = fetch(card(server), tmp_path)
    assert [one.how for one in held] == ["by hand", "fetched", "fetched", "fetched"]
    assert held[0].checked == "md5"
    assert asked(server) == ["/2.png", "/3.png", "/4.png"]
    assert fetch(card(server), tmp_path)[0].how == "by hand"


def test_an_image_brought_in_another_format_counts(server, tmp_path):
    """As the TIFF files of MIDOG 2022, whose record has PNG: readers take them first."""
    (tmp_path / "data/mine").mkdir(parents=True)
    (tmp_path / "data/mine/1.tiff").write_bytes(b"II*\0")
    held = fetch(card(server), tmp_path)
    assert held[0] == VerifiedFile(
        "mine/1.tiff", 4, "", "nothing", "by hand", f"{server.url}/1.png"
    )
    assert asked(server) == ["/2.png", "/3.png", "/4.png"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (IMAGES["1.png"][:-1], "it has 10,240 bytes, the record lists 10,241 bytes"),
        (IMAGES["2.png"], "it has 10,241 bytes, md5:.*, the record lists md5:"),
        (b"", "it has 0 bytes, the record lists 10,241 bytes"),
    ],
)
def test_a_wrong_file_brought_by_hand_is_named_and_left(server, tmp_path, wrong, said):
    path = tmp_path / "data/mine/1.png"
    path.parent.mkdir(parents=True)
    path.write_bytes(wrong)
    with pytest.raises(
        DownloadError, match=f"1 of 4 files .*\n  mine/1.png: .*{said}.* left as it is"
    ):
        fetch(card(server), tmp_path)
    assert path.read_bytes() == wrong
    assert asked(server) == ["/2.png", "/3.png", "/4.png"], "the others come"


def test_a_file_by_hand_of_another_size_is_named_where_the_record_has_no_checksum(server, tmp_path):
    asks = card(server)
    server.put("/records/1", server.pages["/records/1"].content.replace(b'"checksum"', b'"none"'))
    (tmp_path / "data/mine").mkdir(parents=True)
    (tmp_path / "data/mine/1.png").write_bytes(CONTENT)
    with pytest.raises(
        DownloadError, match="1 of 4 .*\n.* it has 10,240 bytes, the record lists 10,241"
    ):
        fetch(asks, tmp_path)


def test_a_read_only_folder_with_all_files_is_enough(server, tmp_path):
    (tmp_path / "data/mine").mkdir(parents=True)
    for name, content in IMAGES.items():
        (tmp_path / "data/mine" / name).write_bytes(content)
    before = sorted((tmp_path / "data").rglob("*"))
    held = fetch(card(server), tmp_path)
    assert {one.how for one in held} == {"by hand"}
    assert sorted((tmp_path / "data").rglob("*")) == before
    assert asked(server) == []


def test_one_failing_file_stops_no_other_and_all_failures_are_listed(server, tmp_path):
    server.pages["/1.png"].manners = [says(404)]
    server.pages["/3.png"].manners = [sends(b"<html>no</html>")]
    with pytest.raises(DownloadError) as caught:
        fetch(card(server), tmp_path)
    lines = str(caught.value).splitlines()
    assert lines[0].startswith(
        "2 of 4 files of mine could not be fetched or differ from the record; the others"
    )
    assert lines[1] == f"  mine/1.png: {server.url}/1.png: it answers 404"
    assert lines[2].startswith(f"  mine/3.png: {server.url}/3.png: it offers 15 bytes where")
    assert lines[3].startswith("Run the same command again: complete files are kept")
    assert sorted(p.name for p in (tmp_path / "data/mine").iterdir()) == ["2.png", "4.png"]
    asked(server)
    for name in ("1.png", "3.png"):
        server.pages[f"/{name}"].manners = []
    assert len(fetch(card(server), tmp_path)) == 4
    assert asked(server) == ["/1.png", "/3.png"]


def test_a_mirror_is_tried_where_the_record_fails(server, tmp_path):
    for name, content in IMAGES.items():
        server.put(f"/mirror/{name}", content)
    server.pages["/1.png"].manners = [says(500)]
    held = fetch(card(server, mirrors=[f"{server.url}/mirror"]), tmp_path)
    assert len(held) == 4
    assert [path for path in asked(server) if "mirror" in path] == ["/mirror/1.png"]


def test_the_licence_is_shown_once_and_again_when_it_changes(server, tmp_path, capsys):
    fetch(card(server), tmp_path)
    assert capsys.readouterr().err.count("Licence: CC0\n") == 1
    fetch(card(server), tmp_path)
    assert "Licence" not in capsys.readouterr().err
    fetch(card(server, licence="CC BY 4.0"), tmp_path)
    assert "Licence: CC BY 4.0" in capsys.readouterr().err


def test_a_disk_too_small_is_named_before_the_first_byte(server, tmp_path, monkeypatch):
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: usage(4 * SIZE - 1))
    with pytest.raises(DownloadError, match="has 0.00 GB free, and 0.00 GB are needed. Make room"):
        fetch(card(server), tmp_path)
    assert asked(server) == []
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: usage(4 * SIZE))
    assert len(fetch(card(server), tmp_path)) == 4


def test_the_space_that_is_needed_leaves_out_what_has_come(tmp_path, monkeypatch):
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: usage(6_000_000_000))
    lacking = [
        RemoteFile("a", (), 7_000_000_000, target="a"),
        RemoteFile("b", (), None, target="c/b"),
    ]
    with pytest.raises(DownloadError, match="has 6.00 GB free, and 7.00 GB are needed"):
        check_space(lacking, tmp_path)
    with open(partial_path(tmp_path / "a"), "wb") as file:
        file.truncate(2_000_000_000)
    check_space(lacking, tmp_path)
    with pytest.raises(DownloadError, match="and 12.00 GB are needed"):
        check_space(lacking, tmp_path, copies=2)


def test_a_disk_that_fills_meanwhile_is_said_of_the_file(server, tmp_path):
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full here")
    (tmp_path / "data/mine").mkdir(parents=True)
    (tmp_path / "data/mine/1.png.part.edition").symlink_to(full)
    with pytest.raises(
        DownloadError, match=r"1 of 4 .*\n  mine/1.png: .*The disk is full. Make room"
    ):
        fetch(card(server), tmp_path)


def archive(**entries: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, content in entries.items():
            file.writestr(name, content)
    return buffer.getvalue()


@pytest.mark.parametrize("kept", ["remove", "keep"])
def test_archives_become_class_folders(server, tmp_path, kept, monkeypatch):
    server.put("/NCT.zip", archive(**{"NCT/ADI/a.tif": b"1", "NCT/TUM/b.tif": b"2"}))
    record = server.zenodo(2, "NCT.zip")
    asks = card(server, record=record, files={r"(NCT\.zip)": r"nct/\1"}, expect=1, unpack=kept)
    (held,) = fetch(asks, tmp_path)
    assert (held.file, held.checked, held.how) == ("nct/NCT", "md5", "fetched")
    assert (tmp_path / "data/nct/NCT/TUM/b.tif").read_bytes() == b"2"
    assert (tmp_path / "data/nct/NCT.zip").exists() == (kept == "keep")
    asked(server)
    assert fetch(asks, tmp_path) == [held]
    assert asked(server) == []


def test_an_archive_brought_by_hand_is_unpacked_and_a_folder_is_taken_as_it_is(server, tmp_path):
    server.put("/NCT.zip", archive(**{"NCT/ADI/a.tif": b"1"}))
    record = server.zenodo(2, "NCT.zip")
    asks = card(server, record=record, files={r"(NCT\.zip)": r"nct/\1"}, expect=1, unpack="remove")
    (tmp_path / "data/nct").mkdir(parents=True)
    (tmp_path / "data/nct/NCT.zip").write_bytes(server.pages["/NCT.zip"].content)
    (held,) = fetch(asks, tmp_path)
    assert (held.how, held.checked) == ("by hand", "md5")
    assert (tmp_path / "data/nct/NCT/ADI/a.tif").exists()
    assert (tmp_path / "data/nct/NCT.zip").exists(), "it is the user's"
    assert fetch(asks, tmp_path) == [held]
    (tmp_path / "o/data/nct/NCT/ADI").mkdir(parents=True)
    (held,) = fetch(asks, tmp_path / "o")
    assert (held.how, held.checked) == ("by hand", "nothing")
    assert asked(server) == []


@pytest.mark.parametrize("inner", ["NCT/", ""])
def test_a_folder_unpacked_in_part_is_named_and_the_archive_beside_it_stays(
    server, tmp_path, inner
):
    entries = {f"{inner}ADI/a.tif": b"1", f"{inner}TUM/b.tif": b"22"}
    server.put("/NCT.zip", archive(**entries))
    record = server.zenodo(2, "NCT.zip")
    asks = card(server, record=record, files={r"(NCT\.zip)": r"nct/\1"}, expect=1, unpack="remove")
    folder = tmp_path / "data/nct/NCT"
    for name, content in {"ADI/a.tif": b"1", "TUM/b.tif": b"2"}.items():
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_bytes(content)
    (tmp_path / "data/nct/NCT.zip").write_bytes(server.pages["/NCT.zip"].content)
    with pytest.raises(
        DownloadError, match=r"differs from NCT.zip in 1 of the 2 files, first b.tif"
    ):
        fetch(asks, tmp_path)
    assert (tmp_path / "data/nct/NCT.zip").exists()
    assert (folder / "TUM/b.tif").read_bytes() == b"2"
    (folder / "TUM/b.tif").write_bytes(b"22")
    (held,) = fetch(asks, tmp_path)
    assert (held.file, held.how, held.checked) == ("nct/NCT", "by hand", "md5")
    assert (tmp_path / "data/nct/NCT.zip").exists()


def test_an_archive_by_hand_beside_its_folder_is_checked(server, tmp_path):
    server.put("/NCT.zip", archive(**{"NCT/ADI/a.tif": b"1"}))
    record = server.zenodo(2, "NCT.zip")
    asks = card(server, record=record, files={r"(NCT\.zip)": r"nct/\1"}, expect=1, unpack="remove")
    (tmp_path / "data/nct/NCT/ADI").mkdir(parents=True)
    (tmp_path / "data/nct/NCT.zip").write_bytes(b"mine")
    with pytest.raises(DownloadError, match="NCT.zip already exists and is not the record's file"):
        fetch(asks, tmp_path)
    assert (tmp_path / "data/nct/NCT.zip").read_bytes() == b"mine"


def test_a_fetched_archive_that_a_kill_left_beside_its_folder_is_removed(server, tmp_path):
    server.put("/NCT.zip", archive(**{"NCT/ADI/a.tif": b"1"}))
    record = server.zenodo(2, "NCT.zip")
    asks = card(server, record=record, files={r"(NCT\.zip)": r"nct/\1"}, expect=1, unpack="keep")
    (held,) = fetch(asks, tmp_path)
    assert fetch(asks | {"unpack": "remove"}, tmp_path) == [held]
    assert not (tmp_path / "data/nct/NCT.zip").exists()


def test_a_listing_that_was_broken_off_asks_only_for_the_rest(server, tmp_path):
    """506 articles under a rate limit: what is known is not asked again."""
    server.put("/collections/7/articles", [{"id": n} for n in (1, 2, 3, 4)])
    for n, name in enumerate(NAMES, 1):
        url, size = f"{server.url}/{name}", SIZE
        server.put(f"/articles/{n}/files", [{"name": name, "size": size, "download_url": url}])
    server.pages["/articles/3/files"].manners = [says(403)]
    asks = card(server, record={"figshare_collection": 7, "api_url": server.url})
    with pytest.raises(DownloadError, match="/articles/3/files: it answers 403; 3 tries"):
        fetch(asks, tmp_path)
    server.pages["/articles/3/files"].manners = []
    server.asked.clear()
    held = fetch(asks, tmp_path)
    assert len(server.requests("/articles/3/files")) == 1
    assert server.requests("/articles/1/files") == []
    assert {one.checked for one in held} == {"size"}, "this record says no md5"


def test_a_record_that_cannot_be_asked_names_the_way_out(server, tmp_path):
    asks = card(server) | {"record": {"zenodo": 9, "api_url": server.url}}
    with pytest.raises(
        DownloadError, match="mine cannot be listed. .*/records/9: it answers 404. A proxy"
    ):
        fetch(asks, tmp_path)


def test_an_interrupt_ends_the_threads(server, tmp_path, monkeypatch):
    for name in NAMES:
        server.pages[f"/{name}"].manners = [throttles(100, 0.05)]
    monkeypatch.setattr(download, "check_space", lambda *_, **__: None)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(download._RecordDownload, "_advance", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fetch(card(server), tmp_path)
    sizes = [os.path.getsize(part) for part in (tmp_path / "data/mine").glob("*.part")]
    assert all(size < SIZE for size in sizes)


def picture(shade: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), (shade, 0, 0)).save(buffer, "png")
    return buffer.getvalue()


@pytest.fixture
def study(server, tmp_path) -> Path:
    """A clone with a study of its own, whose only dataset is a record on the local server."""
    folder = checkout(tmp_path / "clone")
    names = [f"{kind}{n}.png" for kind in ("Normal", "Atypical") for n in range(4)]
    for shade, name in enumerate(names):
        server.put(f"/{name}", picture(shade))
    asks = card(server, expect=8, record=server.zenodo(2, *names))
    asks["files"] = {r"([A-Z][a-z]+)(\d\.png)": r"mine/\1/\2"}
    (folder / "config/downloads/mine.yaml").write_text(yaml.dump(asks), encoding="utf-8")
    dataset = yaml.safe_load((CONFIG / "datasets/amibr.yaml").read_text(encoding="utf-8"))
    for key in ("annotations", "reading", "expect"):
        del dataset[key]
    dataset |= {
        "images": "mine",
        "slides": "images",
        "download": "mine",
        "domains": {"one": {"title": "one", "where": {}}},
    }
    (folder / "config/datasets/mine.yaml").write_text(yaml.dump(dataset), encoding="utf-8")
    (folder / "config/studies/mine.yaml").write_text(
        yaml.dump(SMALL | {"study": "mine", "datasets": ["mine"]}), encoding="utf-8"
    )
    return folder


MINE = ["--configfile", "config/studies/mine.yaml", "--config", "device=per_job"]


@pytest.mark.study
def test_the_target_downloads_alone_fetches_and_cells_are_read_from_what_came(
    server, study, tmp_path
):
    root = {"CRYOTOME_DATA_ROOT": str(tmp_path / "data")}
    said = snakemake(
        study, *MINE, "--cores", "2", "--", "results/patches/mine.h5", check=False, **root
    )
    assert "`make data STUDY=mine` says what to fetch" in said
    assert server.asked == []
    server.pages["/Normal0.png"].manners = [breaks(20), says(500), well]
    server.pages["/Normal1.png"].manners = [says(404), well]
    target = [*MINE, "--cores", "2", "--", "download_all"]
    said = snakemake(study, *target, check=False, **root)
    assert "1 of 8 files of mine could not be fetched" in said
    assert f"mine/Normal/1.png: {server.url}/Normal1.png: it answers 404" in said
    assert "Licence: CC0\n" in said
    assert not (study / "results/downloads/mine.csv").exists()
    assert len(list((tmp_path / "data").rglob("*.png"))) == 7
    server.asked.clear()
    said = snakemake(study, *target, **root)
    assert "Licence" not in said
    assert [path for path in asked(server) if path.endswith(".png")] == ["/Normal1.png"]
    receipt = (study / "results/downloads/mine.csv").read_text(encoding="utf-8").splitlines()
    assert receipt[0] == "file,bytes,checksum,checked,how,source"
    assert receipt[1].startswith("mine/Atypical/0.png,")
    snakemake(study, *MINE, "--cores", "2", "--", "results/cells/mine.csv", **root)
    assert len((study / "results/cells/mine.csv").read_text(encoding="utf-8").splitlines()) == 9


@pytest.mark.study
def test_make_data_lists_and_with_fetch_fetches(server, study, tmp_path):
    for name in ("Makefile", "requirements.txt", "requirements-uv.txt"):
        shutil.copy(ROOT / name, study / name)
    (study / ".venv").symlink_to(Path(sys.executable).parent.parent)
    words = ["make", "--old-file=.venv/installed", "data", "STUDY=mine"]
    where = os.environ | {"CRYOTOME_DATA_ROOT": str(tmp_path / "data")}

    def make(*more: str) -> str:
        done = subprocess.run(
            [*words, *more], cwd=study, env=where, capture_output=True, encoding="utf-8"
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    said = make()
    assert f"MISSING  {tmp_path}/data/mine" in said
    assert "record mine: Mine, about 0.1 GB, here. Licence: CC0" in said
    assert "`make data STUDY=mine FETCH=1` downloads what is missing" in said
    assert server.asked == []
    make("FETCH=1")
    assert len(list((tmp_path / "data/mine").rglob("*.png"))) == 8
    (tmp_path / "data/mine/Normal/2.png").unlink()
    server.asked.clear()
    assert f"have     {tmp_path}/data/mine" in make("FETCH=1"), (
        "it looks again, though a receipt is there"
    )
    assert [path for path in asked(server) if path.endswith(".png")] == ["/Normal2.png"]


def test_the_real_records_plan_without_data_and_without_a_gpu(tmp_path):
    """Those of paper 001, and two that no study of it names."""
    folder, empty = checkout(tmp_path / "clone"), {"CRYOTOME_DATA_ROOT": str(tmp_path / "empty")}
    others = ["results/downloads/nct_crc.csv", "results/downloads/amibr.csv"]
    words = [
        "--configfile",
        "config/studies/ganz2024.yaml",
        "--config",
        "device=per_job",
        "--",
        "download_all",
    ]
    said = snakemake(folder, "-n", *words, *others, **empty)
    assert jobs(said) == {"download": 5, "download_all": 1}
    for record in ("midogpp_annotations", "midog2022", "ccmct", "nct_crc", "amibr"):
        assert f"results/downloads/{record}.csv" in said
