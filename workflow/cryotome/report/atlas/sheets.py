"""Image sheets of the error atlas: patches as the network sees them, with label and score."""

from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from PIL import Image, ImageDraw, ImageFont

from cryotome.core.files import atomic_write
from cryotome.core.store import PATCHES, provenance, read_ids, read_rows
from cryotome.report.atlas.errors import Atlas
from cryotome.report.atlas.sheet_plan import PlannedPatch, SheetPlan, plan_sheets

PATCHES_PER_LINE = 3  # side by side
PATCH_SIDE, GAP, MARGIN = 168, 9, 10  # px, of a shown patch; between two patches; around the page
LARGE, NORMAL, MIN_SIZE = 17, 14, 11  # font sizes, px
LINE_HEIGHT = 1.32  # line height over font size
MAX_BYTES = 80_000  # target of the JPEG quality
QUALITIES = (84, 76, 68, 60, 52, 46, 40)
INK, PALE, NOTICE = (25, 25, 25), (85, 85, 85), (178, 34, 34)
CLASS_INKS = ((0, 90, 160), (170, 65, 0))  # text colours of the two classes
FLAG = (255, 214, 0)


@cache
def load_font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """Return matplotlib's own font at a size in px, so that sheets are alike everywhere."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name, size)


def wrap_text(text: str, font: ImageFont.FreeTypeFont, width: int) -> list[str]:
    """Break a text into lines of at most `width` px; longer words are shortened in the middle."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(_shortened(word, font, width))
    return lines


def _shortened(text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    """Shorten a text in the middle until it fits."""
    kept, short = len(text), text
    while font.getlength(short) > width and kept > 2:
        kept -= 1
        short = f"{text[: (kept + 1) // 2]}…{text[len(text) - kept // 2 :]}"
    return short


class Canvas:
    """A white page that is filled from top to bottom."""

    width = PATCHES_PER_LINE * PATCH_SIDE + (PATCHES_PER_LINE - 1) * GAP + 2 * MARGIN

    def __init__(self) -> None:
        self.image = Image.new("RGB", (self.width, 4000), "white")
        self.pen = ImageDraw.Draw(self.image)
        self.y = MARGIN
        self.corners: list[tuple[int, int]] = []  # left and top of each patch, in their order

    def write(self, text: str, ink: tuple, size: int = NORMAL, bold: bool = False) -> None:
        """Write a paragraph over the whole width."""
        font = load_font(size, bold)
        for line in wrap_text(text, font, self.width - 2 * MARGIN):
            self.pen.text((MARGIN, self.y), line, fill=ink, font=font)
            self.y += round(size * LINE_HEIGHT)

    def scaled(self, at: tuple[int, int], text: str, ink: tuple, bold: bool = False) -> None:
        """Write a line under a patch, in a smaller font or shortened where it is too long."""
        size = NORMAL
        while size > MIN_SIZE and load_font(size, bold).getlength(text) > PATCH_SIDE:
            size -= 1
        font = load_font(size, bold)
        self.pen.text(at, _shortened(text, font, PATCH_SIDE), fill=ink, font=font)

    def place(
        self, planned: tuple[PlannedPatch, ...], pixels: dict[int, np.ndarray], classes: list[str]
    ) -> None:
        """Place patches with their text, some side by side."""
        for first in range(0, len(planned), PATCHES_PER_LINE):
            together, under = planned[first : first + PATCHES_PER_LINE], self.y + PATCH_SIDE + 4
            for column, patch in enumerate(together):
                left = MARGIN + column * (PATCH_SIDE + GAP)
                self._paste(patch, pixels[patch.cell], left)
                lines = [(patch.number, INK), (classes[patch.label], CLASS_INKS[patch.label])]
                lines += [(line, PALE) for line in patch.lines]
                for n, (text, ink) in enumerate(lines):
                    at = (left, under + n * round(NORMAL * LINE_HEIGHT))
                    self.scaled(at, text, ink, bold=n < 2)
            self.y = under + (2 + len(together[0].lines)) * round(NORMAL * LINE_HEIGHT) + GAP

    def _paste(self, patch: PlannedPatch, pixels: np.ndarray, left: int) -> None:
        picture = Image.fromarray(pixels).resize((PATCH_SIDE, PATCH_SIDE), Image.Resampling.BICUBIC)
        self.image.paste(picture, (left, self.y))
        self.corners.append((left, self.y))
        font, step = load_font(NORMAL, bold=True), round(NORMAL * LINE_HEIGHT)
        lines = wrap_text(patch.flag, font, PATCH_SIDE - 8)
        for n, line in enumerate(reversed(lines)):
            foot = self.y + PATCH_SIDE - n * step
            self.pen.rectangle((left, foot - step, left + PATCH_SIDE - 1, foot - 1), fill=FLAG)
            self.pen.text((left + 4, foot - step), line, fill=INK, font=font)

    @property
    def boxes(self) -> list[tuple[float, ...]]:
        """Left, top, width and height of each patch, as shares of the used part of the page."""
        whole = np.array([self.width, self.y + MARGIN] * 2)
        corners = [(*corner, PATCH_SIDE, PATCH_SIDE) for corner in self.corners]
        return [tuple((np.array(box) / whole).round(4).tolist()) for box in corners]

    def crop(self) -> Image.Image:
        """Return the used part of the page."""
        return self.image.crop((0, 0, self.width, self.y + MARGIN))


def draw_sheet(sheet: SheetPlan, patches: dict[int, np.ndarray], atlas: Atlas) -> Canvas:
    """Draw one sheet; `crop` gives its picture.

    Parameters
    ----------
    patches
        Id to the pixels that the network sees of the cell, (side, side, 3) uint8.
    """
    page = Canvas()
    place, title, description = sheet.heading
    page.write(atlas.notice.upper(), NOTICE, bold=True)
    page.write(place, INK, LARGE, bold=True)
    page.write(title, INK, LARGE)
    page.write(description, PALE)
    for heading, planned in sheet.sections:
        page.y += GAP
        page.write(heading, INK, bold=True)
        page.y += 4
        page.place(planned, patches, atlas.classes)
    return page


def save_sheet(picture: Image.Image, path: Path) -> None:
    """Write a JPEG of at most 80 kB, or of the lowest quality where even that is larger."""
    for quality in QUALITIES:
        with atomic_write(path) as partial:
            picture.save(partial, "JPEG", quality=quality, progressive=True)
        if path.stat().st_size <= MAX_BYTES:
            return


class PatchSource:
    """Reader of the pixels that the network sees of each cell, from a patch store."""

    def __init__(self, store: Path) -> None:
        self.store, self.side = store, provenance(store, PATCHES)["seen"]
        self.places = pd.Series(np.arange(len(ids := read_ids(store))), index=ids)

    def read(self, cells: list[int]) -> dict[int, np.ndarray]:
        """Return the patches of some cells by id, (side, side, 3) uint8."""
        places = self.places[sorted(set(cells))].sort_values()
        whole = read_rows(self.store, "patch", places.to_numpy())
        edge = (whole.shape[1] - self.side) // 2
        seen = whole[:, edge : edge + self.side, edge : edge + self.side]
        return dict(zip(places.index, seen, strict=True))


def make_sheets(atlas: Atlas, store: Path, folder: Path) -> pd.DataFrame:
    """Draw every sheet of an atlas into a folder.

    Returns
    -------
    data frame with columns kind, model, head, domain, scanner, file, cells, what, bytes, shown,
    boxes
        file: the name within the folder; cells: number of shown cells; shown: list of their ids;
        boxes: list of their places, as `Canvas.boxes`
    """
    source, lines = PatchSource(store), []
    folder.mkdir(parents=True, exist_ok=True)
    for sheet in plan_sheets(atlas):
        path = folder / sheet.file
        page = draw_sheet(sheet, source.read(sheet.cells), atlas)
        save_sheet(page.crop(), path)
        model, _, head = sheet.row.partition(" + ")
        row = {"kind": sheet.kind, "model": model, "head": head}
        where = {"domain": sheet.domain, "scanner": sheet.scanner, "file": sheet.file}
        count = {"cells": len(sheet.cells), "what": sheet.description}
        count |= {"bytes": path.stat().st_size, "shown": sheet.cells}
        count |= {"boxes": page.boxes}
        lines.append(row | where | count)
    columns = ["kind", "model", "head", "domain", "scanner", "file", "cells", "what"]
    return pd.DataFrame(lines, columns=[*columns, "bytes", "shown", "boxes"])
