import random
import stat
import zipfile
from collections import namedtuple
from pathlib import Path

import pytest

from cryotome.core.errors import DownloadError
from cryotome.data.downloads import archives
from cryotome.data.downloads.archives import unpack


def packed(path: Path, **entries: bytes | str) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in entries.items():
            file.writestr(name, content)
    return path


def there(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_class_folders_come_out_below_the_archives_name(tmp_path):
    """With a folder of the archive's own name inside, as the NCT archives have it, and without."""
    whole = {"ADI/ADI-A.tif": b"1", "TUM/TUM-B.tif": b"2"}
    inner = {f"NCT/{name}": content for name, content in whole.items()}
    for number, entries in enumerate((inner, whole, {"NCT/": b"", **inner})):
        (tmp_path / str(number)).mkdir()
        folder = unpack(packed(tmp_path / str(number) / "NCT.zip", **entries))
        assert there(folder) == ["ADI/ADI-A.tif", "TUM/TUM-B.tif"]
        assert {path.name for path in folder.parent.iterdir()} == {"NCT", "NCT.zip"}


@pytest.mark.parametrize(
    "name", ["../evil.txt", "a/../../evil.txt", "/evil.txt", "..\\evil.txt", "C:\\evil.txt"]
)
def test_an_entry_that_leads_out_of_the_folder_is_refused(tmp_path, name):
    (tmp_path / "deep").mkdir()
    archive = packed(tmp_path / "deep" / "a.zip", **{"ok.txt": b"", name: b"evil"})
    with pytest.raises(DownloadError, match="its entry .* leads out of its folder"):
        unpack(archive)
    assert there(tmp_path) == ["deep/a.zip"]


def test_a_link_is_refused(tmp_path):
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr(link, "/etc/passwd")
    with pytest.raises(DownloadError, match="its entry 'link' is a link"):
        unpack(tmp_path / "a.zip")


def test_a_bomb_is_refused(tmp_path):
    archive = packed(tmp_path / "a.zip", zeros=bytes(10_000_000))
    with pytest.raises(DownloadError, match=r"it would grow from [\d,]+ to 10,000,000 bytes"):
        unpack(archive)
    assert there(tmp_path) == ["a.zip"]


def test_a_disk_too_small_is_named(tmp_path, monkeypatch):
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(archives.shutil, "disk_usage", lambda _: usage(5))
    with pytest.raises(DownloadError, match="unpacks to 10 bytes, and 5 are free there. Make room"):
        unpack(packed(tmp_path / "a.zip", a=b"0123456789"))


def test_a_broken_archive_leaves_nothing(tmp_path):
    content = packed(tmp_path / "a.zip", a=random.Random(0).randbytes(5000)).read_bytes()
    middle = len(content) // 2
    broken = {"cut": content[: len(content) // 2], "page": b"<html>", "empty": b""}
    broken |= {f"flipped{n}": content[:n] + bytes([content[n] ^ 255]) + content[n + 1 :] for n in (40, 60, middle)}  # fmt: skip
    (tmp_path / "a.zip").unlink()
    for name, wrong in broken.items():
        (tmp_path / f"{name}.zip").write_bytes(wrong)
        with pytest.raises(DownloadError, match=r"cannot be unpacked \(.+\). Delete it"):
            unpack(tmp_path / f"{name}.zip")
    assert {path.suffix for path in tmp_path.iterdir()} == {".zip"}


def test_what_a_kill_left_half_unpacked_is_replaced(tmp_path):
    (tmp_path / ".a.unpacked.part").mkdir()
    (tmp_path / ".a.unpacked.part" / "half").write_text("torn", encoding="utf-8")
    assert there(unpack(packed(tmp_path / "a.zip", b=b"1"))) == ["b"]
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(("name", "fine"), [("./", True), ("", False), (".", False)])
def test_an_entry_without_a_name_is_no_traceback(tmp_path, name, fine):
    archive = packed(tmp_path / "a.zip", **{"b.txt": b"1"})
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr(zipfile.ZipInfo(name or "x"), b"")
    if not name:  # zipfile itself writes none
        archive.write_bytes(archive.read_bytes().replace(b"x", b"/"))
    if fine:
        assert there(unpack(archive)) == ["b.txt"]
    else:
        with pytest.raises(DownloadError, match=r"a.zip is not unpacked: its entry"):
            unpack(archive)
