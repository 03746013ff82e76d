"""Files of charts: PDF with embedded fonts and PNG; equal charts are equal files."""

import re
from io import BytesIO
from pathlib import Path
from typing import Any

import altair as alt
import vl_convert
from PIL import Image

from cryotome.core.cards import Card
from cryotome.core.files import atomic_write

DPI = 160  # of a PNG; 72 px of a chart are an inch
THEME: Card = {
    "font": "Liberation Sans",  # vl-convert brings it, so that every machine draws alike
    "axis": {"labelFontSize": 9, "titleFontSize": 10, "titleFontWeight": "normal",
             "gridColor": "#ddd", "domainColor": "#888", "tickColor": "#888",
             "labelLimit": 0},
    "title": {"fontSize": 10, "fontWeight": "normal", "subtitleFontSize": 9, "lineHeight": 12},
    "view": {"stroke": "#ddd"},
}  # fmt: skip
NAMES = re.compile(rb"(<<\n)((?: +/\w+ \d+ 0 R\n){2,})")  # of resources, in no fixed order
REFERENCE = re.compile(rb"\b(\d+) 0 R\b")


def specification(chart: Any) -> Card:
    """Return a chart's Vega-Lite specification, of any number of data lines."""
    with alt.data_transformers.disable_max_rows():  # Altair refuses more than 5,000 lines
        spec: Card = chart.to_dict()
    return spec


def save_chart(chart: Any, *paths: Path) -> None:
    """Write a chart as PDF or PNG without dates, so that equal charts are equal files.

    Parameters
    ----------
    chart
        An Altair chart, or a Vega-Lite specification.
    """
    spec = chart if isinstance(chart, dict) else specification(chart)
    svg = vl_convert.vegalite_to_svg(spec | {"config": THEME})
    for path in paths:
        with atomic_write(path) as beside:
            if path.suffix == ".pdf":
                beside.write_bytes(in_fixed_order(vl_convert.svg_to_pdf(svg)))
            else:
                picture = Image.open(BytesIO(vl_convert.svg_to_png(svg, ppi=DPI)))
                picture.convert("RGB").save(beside, "png", dpi=(DPI, DPI))  # a quarter of the bytes


def in_fixed_order(pdf: bytes) -> bytes:
    """Number and write the objects of a PDF in the order in which they are referred to.

    `svg2pdf` writes fonts and resources in the order of a hash table, which differs from run to
    run.
    """
    start = int(pdf.rsplit(b"startxref", 1)[1].split()[0])
    table, trailer = pdf[start:].split(b"trailer", 1)
    used = sorted(int(line[:10]) for line in table.splitlines() if line.split()[2:] == [b"n"])
    objects = {}
    for begin, end in zip(used, [*used[1:], start], strict=True):
        number, body = pdf[begin:end].split(b" 0 obj\n", 1)
        head, mark, stream = body.partition(b"stream\n")
        head = NAMES.sub(lambda m: m[1] + b"".join(sorted(m[2].splitlines(keepends=True))), head)
        objects[number] = head, mark + stream
    new: dict[bytes, bytes] = {}
    _number(trailer, objects, new)
    parts, offsets = [pdf[: used[0]]], []
    for old, number in new.items():
        offsets.append(sum(map(len, parts)))
        head, stream = objects[old]
        parts.append(number + b" 0 obj\n" + _renumbered(head, new) + stream)
    lines = [b"0000000000 65535 f\r\n", *(b"%010d 00000 n\r\n" % at for at in offsets)]
    tail = _renumbered(re.sub(rb"/Size \d+", b"/Size %d" % len(lines), trailer), new)
    tail = tail.replace(b"startxref\n%d" % start, b"startxref\n%d" % sum(map(len, parts)))
    return b"".join([*parts, b"xref\n0 %d\n" % len(lines), *lines, b"trailer", tail])


def _number(text: bytes, objects: dict, new: dict[bytes, bytes]) -> None:
    """Give a number to each object that a text refers to, in order, and to what those refer to."""
    for old in REFERENCE.findall(text):
        if old not in new:
            new[old] = b"%d" % (len(new) + 1)
            _number(objects[old][0], objects, new)


def _renumbered(text: bytes, new: dict[bytes, bytes]) -> bytes:
    return REFERENCE.sub(lambda m: new[m[1]] + b" 0 R", text)
