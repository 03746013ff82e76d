"""The tested cells of each slide as GeoJSON (RFC 7946) that opens in QuPath over the slide."""

import json
import re
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cryotome.core.files import atomic_write
from cryotome.report.atlas.errors import Atlas

BOX_SIDE = 50  # side of a cell's box, level-0 px, as MIDOG annotates
CLASS_COLOURS = ([0, 114, 178], [213, 94, 0])  # of the two classes, safe for colour blindness
ID_NAMESPACE = uuid.UUID(
    "6f9d2f0a-3c1e-5d53-9a55-0f4f7a1c2b6e"
)  # QuPath needs UUIDs; these are stable


def square_ring(x: float, y: float, side: float = BOX_SIDE) -> list[list[list[float]]]:
    """Return the square around a centre as the closed ring of a polygon, anticlockwise as y grows.

    >>> square_ring(10, 20, side=4)
    [[[8.0, 18.0], [12.0, 18.0], [12.0, 22.0], [8.0, 22.0], [8.0, 18.0]]]
    """
    left, top, right, bottom = x - side / 2, y - side / 2, x + side / 2, y + side / 2
    return [[[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]]


def detection(
    key: str,
    at: tuple[float, float],
    *,
    name: str,
    called: tuple[int, str],
    measured: dict[str, float],
    said: dict[str, str],
) -> dict[str, Any]:
    """Return a GeoJSON feature with the properties of a QuPath detection.

    Parameters
    ----------
    key
        What it is, unique; its UUID is made from it.
    at
        Its centre, level-0 px.
    called
        Index and name of its class.
    measured, said
        Its measurements; texts that QuPath shows, empty ones left out.
    """
    place, title = called
    return {
        "type": "Feature",
        "id": str(uuid.uuid5(ID_NAMESPACE, key)),
        "geometry": {"type": "Polygon", "coordinates": square_ring(*at)},
        "properties": {
            "objectType": "detection",
            "name": name,
            "classification": {"name": title, "color": CLASS_COLOURS[place]},
            "measurements": measured,
            "metadata": {key: text for key, text in said.items() if text},
        },
    }


def qupath_detection(atlas: Atlas, cell: dict[str, Any], page: str, sheets: str) -> dict[str, Any]:
    """Return one cell as a GeoJSON feature with the properties of a QuPath detection.

    Parameters
    ----------
    cell
        A line of `Atlas.table`, and `at`: its centre in the image of the file, level-0 px.
    page, sheets
        Links to where the cell is shown, relative to the file.
    """
    scores = {n: v for n, v in cell.items() if n.startswith("score ") and not pd.isna(v)}
    wrong = [row for row, error in atlas.errors.loc[cell["id"]].items() if error]
    measured = scores | {"rows that err": len(wrong)}
    if not pd.isna(cell["disagreement"]):
        measured["disagreement"] = cell["disagreement"]
    about = {"cell": str(cell["id"]), "label": atlas.classes[cell["label"]]}
    about |= {name: str(cell[name]) for name in ("slide", "image", "domain", "scanner")}
    about |= {"errs": ", ".join(map(str, wrong)), "page": page, "sheets": sheets}
    about |= {"holds figure": "yes"} if cell["holds_figure"] else {}
    about |= {"raters against label": _raters(cell)} if atlas.raters else {}
    about |= {"synthetic": atlas.notice}
    return detection(
        f"{atlas.dataset}/{cell['id']}",
        cell["at"],
        name=f"cell {cell['id']}",
        called=(cell["label"], atlas.classes[cell["label"]]),
        measured=measured,
        said=about,
    )


def _raters(cell: dict[str, Any]) -> str:
    return f"{cell['raters_against']} of {cell['raters']}"


def cell_points(cells: pd.DataFrame, windows: pd.DataFrame) -> pd.DataFrame:
    """Return the position of each cell in the image of its file, level-0 px.

    Cells of crops without a known position are in the middle of their window.

    Parameters
    ----------
    cells
        Columns id, x, y.
    windows
        Columns id, left, top, side, place.

    Returns
    -------
    data frame with columns place, at_x, at_y, indexed as `cells`
    """
    found = windows.set_index("id").loc[cells["id"]]
    middle = found[["left", "top"]].add(found["side"] / 2, axis=0)
    known = (cells[["x", "y"]] != 0).any(axis=1).to_numpy()[:, None]
    at = np.where(known, cells[["x", "y"]], middle)
    table = pd.DataFrame(at, columns=["at_x", "at_y"], index=cells.index)
    return table.assign(place=found["place"].to_numpy())


def file_names(places: list[str]) -> dict[str, str]:
    """Return a unique file name for each image or slide.

    >>> list(file_names(["001.tiff", "MIDOG21/7", "MIDOG21_7"]).values())
    ['001.tiff.geojson', 'MIDOG21_7.geojson', 'MIDOG21_7.2.geojson']
    """
    plain = {place: re.sub(r"[^\w.-]", "_", place) for place in places}
    names: dict[str, str] = {}
    taken = Counter[str]()
    for place, name in plain.items():
        stem = name
        while stem.lower() in taken:
            taken[name.lower()] += 1
            stem = f"{name}.{taken[name.lower()]}"
        taken[stem.lower()] += 1
        names[place] = f"{stem}.geojson"
    return names


def write_geojson(
    atlas: Atlas, windows: pd.DataFrame, folder: Path, sheets: pd.DataFrame
) -> pd.DataFrame:
    """Write one GeoJSON file per slide, with all tested cells of the slide.

    Parameters
    ----------
    sheets
        As `make_sheets` returns them; their folder is beside that of the slides.

    Returns
    -------
    data frame with columns slide, place, file, cells, errors
        place: the image whose coordinates the file has; file: its name within the folder;
        errors: wrong calls, summed over the rows.
    """
    table = atlas.table()
    table = table.join(cell_points(table, windows))
    page = f"../../../index.html#atlas-{atlas.dataset}"
    shown = sheets[["file", "shown"]].explode("shown").groupby("shown")["file"].agg(list)
    parts, lines = table.groupby("place"), []
    names = file_names(sorted(table["place"].unique()))
    folder.mkdir(parents=True, exist_ok=True)
    for place, file in names.items():
        part, features = parts.get_group(place), []
        for line in part.to_dict("records"):
            cell = {str(name): value for name, value in line.items()}
            cell["at"] = (cell.pop("at_x"), cell.pop("at_y"))
            links = " ".join(f"../sheets/{file}" for file in shown.get(cell["id"], []))
            features.append(qupath_detection(atlas, cell, page, links))
        with atomic_write(folder / file, sweep=False) as partial:
            partial.write_text(
                json.dumps(_collection(atlas, place, features), allow_nan=False), encoding="utf-8"
            )
        wrong = int((atlas.errors.loc[part["id"]] != 0).to_numpy().sum())
        lines.append((part["slide"].iloc[0], place, file, len(part), wrong))
    return pd.DataFrame(lines, columns=["slide", "place", "file", "cells", "errors"])


def _collection(atlas: Atlas, place: str, features: list[dict[str, Any]]) -> dict[str, Any]:
    """Return features as a collection, with dataset, image and scores as further members."""
    about = {"dataset": atlas.dataset, "image": place, "scores": atlas.score_description}
    about |= {"synthetic": atlas.notice} if atlas.notice else {}
    return {"type": "FeatureCollection", **about, "features": features}
