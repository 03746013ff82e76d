"""Pages of cells: beside each sheet, what is known of every cell on it."""

import base64
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from cryotome.core.files import atomic_write
from cryotome.data.raters import votes_of
from cryotome.report.atlas.errors import Atlas
from cryotome.report.atlas.neighbours import Neighbour, TrainingNeighbours
from cryotome.report.atlas.sheets import PATCH_SIDE, PatchSource

SMALL_SIDE, QUALITY = 84, 80  # px of a neighbour's patch; of the JPEGs
COLUMNS = ["file", "page", "id", "left", "top", "width", "height"]


def jpeg_address(picture: Image.Image, quality: int) -> str:
    """Return a picture in colour as a data address of a JPEG, for a page without other files."""
    kept = BytesIO()
    picture.convert("RGB").save(kept, "JPEG", quality=quality)
    return f"data:image/jpeg;base64,{base64.b64encode(kept.getvalue()).decode()}"


def picture_of(pixels: np.ndarray, side: int) -> str:
    """Return a patch as a data address of a JPEG of this side, px."""
    shown = Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC)
    return jpeg_address(shown, QUALITY)


def model_of(sheet: dict[str, Any], models: list[str]) -> str:
    """Return whose embeddings tell the neighbours: the sheet's model, else the first with a store.

    Empty where no model has one.
    """
    return sheet["model"] if sheet["model"] in models else next(iter(models), "")


def write_cell_pages(
    atlas: Atlas, shown: pd.DataFrame, store: Path, folder: Path, near: TrainingNeighbours
) -> pd.DataFrame:
    """Write one page per sheet, of the same name, with a part `#cell-{id}` for each of its cells.

    A part has the patch, the scores of all rows, the votes of raters where the dataset has them,
    and the nearest training cells with their labels where a model has embeddings.

    Parameters
    ----------
    shown
        As `make_sheets` returns it.
    store
        Of patches.
    folder
        That of the sheets.

    Returns
    -------
    data frame with columns file, page, id, left, top, width, height
        One line per patch of a sheet; its place as shares of the sheet's width and height.
    """
    loader = PackageLoader("cryotome.report.page", "parts")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    template, source, lines = environment.get_template("cells.html"), PatchSource(store), []
    style = str(environment.get_template("page.css").module)
    told: Any = shown.to_dict("records")
    sheets = [(model_of(sheet, near.models), sheet) for sheet in told]
    for model in dict.fromkeys(model for model, _ in sheets):
        mine = [sheet for name, sheet in sheets if name == model]
        wanted = {cell for sheet in mine for cell in sheet["shown"]}
        found = near.find(model, wanted) if model else {}
        for sheet in mine:
            page = f"{Path(sheet['file']).stem}.html"
            parts = list(_parts(atlas, sheet["shown"], found, source))
            text = template.render(atlas=atlas, sheet=sheet, parts=parts, model=model, style=style)
            with atomic_write(folder / page, sweep=False) as beside:
                beside.write_text(text, encoding="utf-8")
            boxes = zip(sheet["shown"], sheet["boxes"], strict=True)
            lines += [(sheet["file"], page, cell, *box) for cell, box in boxes]
    return pd.DataFrame(lines, columns=COLUMNS)


def _parts(
    atlas: Atlas, cells: list[int], found: dict[int, list[Neighbour]], source: PatchSource
) -> Iterator[dict[str, Any]]:
    """Yield what the template says of each cell."""
    near = {one.cell for cell in cells for one in found.get(cell, [])}
    pixels, votes = source.read([*cells, *near]), votes_of(atlas.cells)
    for cell in cells:
        about: Any = atlas.cells.loc[cell].to_dict()
        scores: Any = atlas.scores.loc[cell].dropna().to_dict()
        errors: Any = atlas.errors.loc[cell].to_dict()
        rated: Any = votes.loc[cell].to_dict()
        yield {
            "id": cell,
            "about": about,
            "label": atlas.classes[int(about["label"])],
            "picture": picture_of(pixels[cell], PATCH_SIDE),
            "scores": [
                (atlas.labels[row], value, errors[row] != 0)
                for row, value in sorted(scores.items(), key=lambda one: -one[1])
            ],
            "votes": [(name, atlas.classes[int(vote)]) for name, vote in rated.items()],
            "near": [
                (one, *_told(atlas, one.cell), picture_of(pixels[one.cell], SMALL_SIDE))
                for one in found.get(cell, [])
            ],
        }  # fmt: skip


def _told(atlas: Atlas, cell: int) -> tuple[str, str]:
    """Return the class of a training cell, and the slide or image that it is on."""
    about: Any = atlas.known.loc[cell].to_dict()
    return atlas.classes[int(about["label"])], str(about["slide"] or about["image"])
