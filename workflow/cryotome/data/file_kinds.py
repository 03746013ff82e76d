"""What a file is by its first bytes, whatever its name says."""

from pathlib import Path

LOOKED_AT = 512  # bytes
SHOWN = 40  # bytes that messages quote

BEGINNINGS = (
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
PAGES = (b"<!doctype html", b"<html", b"<head", b"<body")
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def first_bytes_say(path: Path) -> str:
    """Return what a file is by its first bytes, nothing where they say nothing special.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    with open(path, "rb") as file:
        first = file.read(LOOKED_AT)
    if not first:
        return "an empty file"
    text = first.removeprefix(BYTE_ORDER_MARK).lstrip().lower()
    marked = text.startswith((b"<?xml", b"<!--"))
    if text.startswith(PAGES) or (marked and any(tag in text for tag in PAGES)):
        return "a page of HTML, such as a login or an error page"
    if marked:
        return "XML, as servers answer in place of a file that they do not give"
    if not first.strip(b"\0"):
        return "zeros, as a transfer that broke leaves them"
    return next((kind for bytes_, kind in BEGINNINGS if first.startswith(bytes_)), "")


def begins(path: Path) -> str:
    """Quote the first bytes of a file, and say what they are the beginning of."""
    with open(path, "rb") as file:
        quoted = repr(file.read(SHOWN))[1:]
    kind = first_bytes_say(path)
    return f"{quoted} ({kind})" if kind else quoted
