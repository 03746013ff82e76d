"""Attention of slide classifiers: a table of slides, their tiles for QuPath, heat maps."""

import json
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from PIL import Image, ImageDraw

from cryotome.core.files import atomic_write
from cryotome.data.images import OpenImage, open_image
from cryotome.data.slides.thumbnail import read_thumbnail, thumbnail_resolution
from cryotome.data.slides.tile_overlay import caption, enlarged, tile_boxes
from cryotome.learners.mil.apply_slides import ScoredSlide
from cryotome.report.atlas.qupath import ID_NAMESPACE, file_names, square_ring

COLOURS, OPACITY = colormaps["viridis"], 0.55
MOST, BESIDE, TILE_SIDE, GAP = 10, 5, 96, 4  # tiles shown, of a line; px: side, between two
KEY = "Colour: rank of a tile's attention in this slide, violet the least, yellow the most."
# a line per slide
COLUMNS = ["slide", "tiles", "score", "score_sd", "tiles_of_half", "status", "reason"]


def attention_ranks(attention: np.ndarray) -> np.ndarray:
    """Return the share of tiles that attention does not exceed (n,), above 0 to 1; ties share it.

    >>> attention_ranks(np.array([0.1, 0.6, 0.1, 0.2]))
    array([0.375, 1.   , 0.375, 0.75 ])
    """
    return pd.Series(attention).rank(pct=True).to_numpy()


def tiles_of_half(attention: np.ndarray) -> int:
    """Return how few tiles hold half of the attention.

    >>> tiles_of_half(np.array([0.1, 0.6, 0.1, 0.2])), tiles_of_half(np.full(4, 0.25))
    (1, 2)
    """
    held = np.cumsum(np.sort(attention)[::-1])
    return int(np.searchsorted(held, 0.5 - 1e-9)) + 1 if len(held) else 0


def slide_line(slide: ScoredSlide) -> dict[str, Any]:
    """Return a slide's line of the table; the SD over folds is the population's."""
    scored, said = slide.scores, slide.bag.attributes
    spread = (scored.mean(), scored.std()) if len(scored) else (np.nan, np.nan)
    values = (slide.name, len(slide.attention), *spread, tiles_of_half(slide.attention))
    return dict(zip(COLUMNS, (*values, said["status"], said["reason"]), strict=True))


def write_slides(
    slides: Iterable[ScoredSlide], images: dict[str, Path], folder: Path, about: dict[str, Any]
) -> pd.DataFrame:
    """Write tiles and heat map of every slide that has tiles; return the table of all.

    Parameters
    ----------
    images
        Slide to its file.
    about
        `dataset`, `row`, `classes`, `trained_on`, `folds`, and `notice` of synthetic tissue.

    Returns
    -------
    data frame of `COLUMNS`
    """
    folder.mkdir(parents=True, exist_ok=True)
    files, lines = file_names(sorted(images)), []
    for slide in slides:
        lines.append(line := slide_line(slide))
        if len(slide.attention):
            file = folder / files[slide.name]
            with atomic_write(file, sweep=False) as beside:
                beside.write_text(json.dumps(_collection(slide, line, about)), encoding="utf-8")
            with atomic_write(file.with_suffix(".png"), sweep=False) as beside:
                heat_map(slide, images[slide.name], line, about).save(beside, "PNG")
    return pd.DataFrame(lines, columns=COLUMNS)


def _collection(slide: ScoredSlide, line: dict[str, Any], about: dict[str, Any]) -> dict[str, Any]:
    side, ranks = float(slide.bag.attributes["level0_side"]), attention_ranks(slide.attention)
    tiles = zip(slide.bag.coords + side / 2, slide.attention, ranks, strict=True)
    features = [
        _tile(f"{about['dataset']}/{slide.name}/{row}", square_ring(x, y, side), weight, rank)
        for row, ((x, y), weight, rank) in enumerate(tiles)
    ]
    known = about | {"slide": slide.name, "score": line["score"], "score_sd": line["score_sd"]}
    return {"type": "FeatureCollection", **known, "features": features}


def _tile(key: str, ring: list[list[list[float]]], weight: float, rank: float) -> dict[str, Any]:
    measured = {"attention": weight, "rank of attention": rank}
    return {
        "type": "Feature",
        "id": str(uuid.uuid5(ID_NAMESPACE, f"attention/{key}")),
        "geometry": {"type": "Polygon", "coordinates": ring},
        "properties": {"objectType": "tile", "measurements": measured},
    }


def heat_map(
    slide: ScoredSlide, path: Path, line: dict[str, Any], about: dict[str, Any]
) -> Image.Image:
    """Draw the tiles of a slide over its thumbnail, coloured by the rank of their attention.

    Below stand the ten tiles of most attention, the first at the left.
    """
    mpp, side = (float(slide.bag.attributes[name]) for name in ("mpp", "level0_side"))
    image = open_image(path)
    ground = enlarged(read_thumbnail(image, max(1.0, thumbnail_resolution(side * mpp) / mpp)))
    layer = Image.new("RGBA", ground.size)
    pen, scale = ImageDraw.Draw(layer), np.array(ground.size) / image.size
    inks = COLOURS(attention_ranks(slide.attention), alpha=OPACITY, bytes=True)
    for box, ink in zip(tile_boxes(slide.bag.coords, side, scale), inks, strict=True):
        pen.rectangle(box, fill=tuple(map(int, ink)))
    over = Image.alpha_composite(ground.convert("RGBA"), layer).convert("RGB")
    both = _below(over, most_attended(slide, image))
    return caption(both, about["notice"], _captions(line, about))


def most_attended(slide: ScoredSlide, image: OpenImage) -> Image.Image:
    """Draw the tiles of most attention beside each other; of equal attention the first tiles."""
    order = np.argsort(-slide.attention, kind="stable")[:MOST]
    side, step = round(float(slide.bag.attributes["level0_side"])), TILE_SIDE + GAP
    lines = -(-len(order) // BESIDE)
    size = min(len(order), BESIDE) * step - GAP, lines * step - GAP
    page = Image.new("RGB", size, "white")
    for place, (x, y) in enumerate(slide.bag.coords[order].tolist()):
        pixels = image.read(round(x), round(y), side, side, max(1.0, side / TILE_SIDE))
        tile = Image.fromarray(pixels).resize((TILE_SIDE, TILE_SIDE), Image.Resampling.BICUBIC)
        page.paste(tile, (place % BESIDE * step, place // BESIDE * step))
    return page


def _below(upper: Image.Image, lower: Image.Image) -> Image.Image:
    width = max(upper.width, lower.width)
    page = Image.new("RGB", (width, upper.height + 2 * GAP + lower.height), "white")
    page.paste(upper, ((width - upper.width) // 2, 0))
    page.paste(lower, ((width - lower.width) // 2, upper.height + 2 * GAP))
    return page


def _captions(line: dict[str, Any], about: dict[str, Any]) -> list[str]:
    score = f"probability of {about['classes'][1]}: {line['score']:.2f}"
    spread = f"SD {line['score_sd']:.2f} over {about['folds']} models"
    half = f"{line['tiles_of_half']:,} of {line['tiles']:,} tiles hold half of the attention"
    title = f"{about['dataset']}, {line['slide']}: {about['row']}"
    below = f"Below: the {min(MOST, line['tiles'])} tiles of most attention, the first at the left."
    return [title, f"{score}, {spread}; {half}", KEY, below, line["reason"]]
