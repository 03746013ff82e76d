import os
import struct

import pytest

from cryotome.data.slides.dicom import read_series

EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
UNDEFINED = 0xFFFF_FFFF


def element(tag, kind, value, *, explicit=True, length=None):
    """One data element; `length` instead of the value's own, for sequences."""
    value = value.encode() if isinstance(value, str) else value
    value += (b"\0" if kind == "UI" else b" ") * (len(value) % 2)
    size = len(value) if length is None else length
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF)
    if not explicit or tag >> 16 == 0xFFFE:
        return head + struct.pack("<I", size) + value
    if kind in ("OB", "SQ", "UN"):
        return head + kind.encode() + b"\0\0" + struct.pack("<I", size) + value
    return head + kind.encode() + struct.pack("<H", size) + value


def dicom(series="1.2.3", kind="VOLUME", *, syntax=EXPLICIT):
    """A file with the head of a slide: a sequence of undefined length before the series."""
    how = {"explicit": syntax != IMPLICIT}
    inner = element(0x0020_000E, "UI", "9.9.9", **how)  # of another series, inside
    item = element(0xFFFE_E000, "", inner, length=UNDEFINED) + element(0xFFFE_E00D, "", b"")
    sequence = element(0x0008_1140, "SQ", item, length=UNDEFINED, **how)
    body = element(0x0008_0008, "CS", f"DERIVED\\PRIMARY\\{kind}\\NONE", **how)
    body += sequence + element(0xFFFE_E0DD, "", b"")
    body += element(0x0008_1150, "SQ", element(0xFFFE_E000, "", inner), **how)
    body += element(0x0020_000E, "UI", series, **how) + element(0x0028_0010, "US", b"\1\0", **how)
    meta = element(0x0002_0001, "OB", b"\0\1") + element(0x0002_0010, "UI", syntax)
    return bytes(128) + b"DICM" + meta + body


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, "1.2.840.10008.1.2.4.50"])
@pytest.mark.parametrize("kind", ["VOLUME", "LABEL", "OVERVIEW", "THUMBNAIL"])
def test_series_and_kind_are_read_over_sequences(tmp_path, syntax, kind):
    path = tmp_path / "a.dcm"
    path.write_bytes(dicom("1.2.840.7", kind, syntax=syntax))
    assert read_series(path) == ("1.2.840.7", kind)


@pytest.mark.parametrize(
    "content", [b"", b"no DICOM", dicom()[:200], dicom(syntax="1.2.840.10008.1.2.2")]
)
def test_what_is_no_such_file_says_nothing(tmp_path, content):
    path = tmp_path / "a.dcm"
    path.write_bytes(content)
    assert read_series(path)[0] == ""


def test_a_file_cut_anywhere_is_no_crash(tmp_path):
    whole, path = dicom(), tmp_path / "a.dcm"
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        read_series(path)


@pytest.mark.parametrize("before", range(3600, 3700, 2))
def test_tags_far_behind_the_beginning_are_read_whole(tmp_path, before):
    long = element(0x0010_4000, "OB", b"x" * before)  # the series crosses the first block's end
    body, path = dicom("1.2.840.7"), tmp_path / "a.dcm"
    place = body.index(element(0x0020_000E, "UI", "1.2.840.7"))
    path.write_bytes(body[:place] + long + body[place:])
    assert read_series(path) == ("1.2.840.7", "VOLUME")


def test_the_head_alone_is_read(tmp_path):
    path = tmp_path / "a.dcm"
    path.write_bytes(dicom())
    os.truncate(path, 2**40)  # with holes: nothing on disk
    assert read_series(path) == ("1.2.3", "VOLUME")
