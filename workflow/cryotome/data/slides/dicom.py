"""DICOM header: series and image type of a file, which show its slide and its part."""

import struct
from pathlib import Path

HEADER_BYTES = 2**12, 2**17  # bytes read; the tags precede those of the optics and frames
IMPLICIT, EXPLICIT = b"1.2.840.10008.1.2", b"1.2.840.10008.1.2."  # big-endian ends in 2
IMAGE_TYPE, SERIES, SYNTAX = 0x0008_0008, 0x0020_000E, 0x0002_0010
ITEM, ITEM_ENDS, SEQUENCE_ENDS = 0xFFFE_E000, 0xFFFE_E00D, 0xFFFE_E0DD
LONG_FORMS = {
    b"OB",
    b"OW",
    b"OF",
    b"OD",
    b"OL",
    b"OV",
    b"SQ",
    b"UC",
    b"UN",
    b"UR",
    b"UT",
    b"SV",
    b"UV",
}
UNDEFINED = 0xFFFF_FFFF  # the length of a sequence that ends with a tag


def read_series(path: Path) -> tuple[str, str]:
    """Return the series of a file, and whether it is `VOLUME`, `LABEL`, `OVERVIEW` or `THUMBNAIL`.

    Both are empty if the file is no DICOM file or has no such tag (DICOM PS3.10, section 7).
    """
    tags: dict[int, bytes] = {}
    with open(path, "rb", buffering=0) as file:
        head = b""
        for size in HEADER_BYTES:
            head += file.read(size - len(head))
            if head[128:132] != b"DICM":
                return "", ""
            try:
                tags = _parse_tags(head)
            except struct.error:  # truncated
                tags = {}
            if SERIES in tags:
                break
    kinds = tags.get(IMAGE_TYPE, b"").decode("ascii", "replace").split("\\")
    series = tags.get(SERIES, b"").decode("ascii", "replace").strip("\0 ")
    return series, kinds[2].strip() if len(kinds) > 2 else ""


def _parse_tags(head: bytes) -> dict[int, bytes]:
    """Return the values of tags up to the series, without those inside sequences."""
    found: dict[int, bytes] = {}
    at, depth, explicit = 132, 0, True
    while at < len(head) and SERIES not in found:
        group, element = struct.unpack_from("<HH", head, at)
        tag = group << 16 | element
        if group > 2 and not depth:
            syntax = found.get(SYNTAX, b"").strip(b"\0 ")
            if not syntax.startswith((IMPLICIT, EXPLICIT)) or syntax == EXPLICIT + b"2":
                return {}
            explicit = syntax != IMPLICIT
        start, length = _value_range(head, at, explicit and group != 0xFFFE)
        if tag in (ITEM_ENDS, SEQUENCE_ENDS):
            depth -= 1
        elif length == UNDEFINED:
            depth, length = depth + 1, 0
        elif not depth and start + length <= len(head):
            found.setdefault(tag, head[start : start + length])
        at = start + length
    return found


def _value_range(head: bytes, at: int, explicit: bool) -> tuple[int, int]:
    """Return start and length of the value of the element at `at`, bytes."""
    if not explicit:
        return at + 8, struct.unpack_from("<I", head, at + 4)[0]
    if head[at + 4 : at + 6] in LONG_FORMS:
        return at + 12, struct.unpack_from("<I", head, at + 8)[0]
    return at + 8, struct.unpack_from("<H", head, at + 6)[0]
