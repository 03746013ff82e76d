"""What a chart shows, read from its Vega-Lite specification, for tests of figures."""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from cryotome.core.charts import specification

PARTS = ("concat", "hconcat", "vconcat")


def spec_of(chart: Any) -> dict:
    """Return the specification of a chart, or of a sheet, which is one."""
    return chart if isinstance(chart, dict) else specification(chart)


def panels(chart: Any) -> list[dict]:
    """Return the charts with a title and axes, in their order, without legends and notes."""
    spec = spec_of(chart)
    parts = [part for name in PARTS for part in spec.get(name, [])]
    if parts:
        return [found for part in parts for found in panels(part)]
    bare = spec.get("view", {}).get("stroke", "") is None  # a legend or a note
    return [] if bare else [spec]


def layers(panel: dict) -> list[dict]:
    """Return the marks of a panel with their encodings, from below."""
    if "layer" not in panel:
        return [panel]
    own = {key: panel[key] for key in ("data",) if key in panel}
    return [own | inner for layer in panel["layer"] for inner in layers(layer)]


def marked(panel: dict, kind: str) -> list[dict]:
    """Return the layers of a kind of mark."""
    return [layer for layer in layers(panel) if layer["mark"]["type"] == kind]


def rows_of(chart: Any, layer: dict) -> pd.DataFrame:
    """Return the data lines of a layer."""
    return pd.DataFrame(spec_of(chart)["datasets"][layer["data"]["name"]])


def title_of(panel: dict) -> list[str]:
    """Return the lines of a panel's title."""
    title = panel["title"]
    text = title["text"] if isinstance(title, dict) else title
    return [text] if isinstance(text, str) else text


def words(chart: Any) -> str:
    """Return all texts of a chart: titles, and what its data holds."""
    return " ".join(" ".join(_strings(spec_of(chart))).split())


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for inner in (
        value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    ):
        yield from _strings(inner)
