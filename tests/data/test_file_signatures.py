import gzip
from pathlib import Path

import pytest

from cryotome.data.file_signatures import describe_start, file_kind

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (LFS, "a Git-LFS pointer; `git lfs pull` fetches the file itself"),
        (b"\n <!DOCTYPE HTML><html>", "an HTML page"),
        (b"\xef\xbb\xbf<html lang='en'>", "an HTML page"),
        (b'<?xml version="1.0"?>\n<!DOCTYPE html PUBLIC>', "an HTML page"),
        (b"<!-- 404 --><html>", "an HTML page"),
        (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "XML, as servers"),
        (gzip.compress(b"{}", mtime=0), "gzip; unpack it"),
        (b"PK\x03\x04...", "a ZIP archive or an XLSX table"),
        ("{}".encode("utf-16"), "text in UTF-16; save it in UTF-8"),
        (b"SQLite format 3\0", "an SQLite database"),
        (b"", "an empty file"),
        (bytes(600), "zeros"),
    ],
)
def test_a_file_is_what_its_first_bytes_say(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "a.json").write_bytes(content)
    assert file_kind(tmp_path / "a.json").startswith(said)
    assert f"({said}" in describe_start(tmp_path / "a.json")


def test_ordinary_text_says_nothing_special(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b'\xef\xbb\xbf{"images": []}')
    assert file_kind(tmp_path / "a.json") == ""
    assert describe_start(tmp_path / "a.json").endswith("images\": []}'")
