"""File signatures: what a file is by its first bytes, whatever its name."""

from pathlib import Path

READ_BYTES = 512  # bytes
QUOTED_BYTES = 40  # bytes that messages quote

SIGNATURES = (
    (b"version https://git-lfs", "a Git-LFS pointer; `git lfs pull` fetches the file itself"),
    (b"\x1f\x8b", "gzip; unpack it"),
    (b"PK\x03\x04", "a ZIP archive or an XLSX table; unpack it, or save it in the right format"),
    (b"BZh", "bzip2; unpack it"),
    (b"\xfd7zXZ\x00", "xz; unpack it"),
    (b"\x28\xb5\x2f\xfd", "Zstandard; unpack it"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive; unpack it"),
    (b"SQLite format 3\x00", "an SQLite database"),
    (b"\x89HDF\r\n\x1a\n", "HDF5"),
    (b"%PDF", "PDF"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"\xff\xfe", "text in UTF-16; save it in UTF-8"),
    (b"\xfe\xff", "text in UTF-16; save it in UTF-8"),
)
HTML_TAGS = (b"<!doctype html", b"<html", b"<head", b"<body")
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def file_kind(path: Path) -> str:
    """Return what a file is by its first bytes, empty where they are no known signature.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    with open(path, "rb") as file:
        first = file.read(READ_BYTES)
    if not first:
        return "an empty file"
    text = first.removeprefix(BYTE_ORDER_MARK).lstrip().lower()
    marked = text.startswith((b"<?xml", b"<!--"))
    if text.startswith(HTML_TAGS) or (marked and any(tag in text for tag in HTML_TAGS)):
        return "an HTML page, such as a login or an error page"
    if marked:
        return "XML, as servers send in place of a file that they refuse"
    if not first.strip(b"\0"):
        return "zeros, as a broken transfer leaves them"
    return next((kind for bytes_, kind in SIGNATURES if first.startswith(bytes_)), "")


def describe_start(path: Path) -> str:
    """Quote the first bytes of a file, followed by the kind of file if it is known."""
    with open(path, "rb") as file:
        quoted = repr(file.read(QUOTED_BYTES))[1:]
    kind = file_kind(path)
    return f"{quoted} ({kind})" if kind else quoted
