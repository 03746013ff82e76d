"""Synthetic mitotic figures in the real formats, with a known signal and a notice in each file.

Dark nuclei lie among pale ones on a stained background. A mitotic figure has a ragged edge
(projections of condensed chromatin), a look-alike a smooth one, and the cytoplasm of a look-alike
is a little more eosinophilic. Which look-alikes are common differs between tumours: pale
hyperchromatic nuclei in one domain, shrunken pyknotic ones in another (Donovan et al. 2021, Vet
Pathol 58:243). So a second sign, darkness or size, helps at home and less elsewhere. All signs
overlap and none is ever inverted. How strong they are has no source: it was chosen here in several
trials, by the AUROCs of the demo's rows, so that none is perfect and another domain costs.

Domains also differ in what laboratories and scanners change: the optical density of the dyes,
their concentration, the light of bare glass, blur and noise. The densities are published ones; the
concentrations stay within the fifth by which Tellez et al. 2019 (Med Image Anal 58:101544) vary
them. The colours that tell the classes apart in one domain are therefore others in the next.
"""

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from scipy.ndimage import gaussian_filter, zoom

NOTICE = "synthetic demo cohort"
SLIDES = 8  # per domain
GRID = 7  # cells along a side of a region
CELLS = GRID**2  # per region or slide
MPP = 0.25  # µm/px, at which sizes of nuclei are given in px
AREA_PER_NUCLEUS = 5000  # px² of tissue per pale nucleus
NUCLEUS_RADIUS = 24  # px, half the side of the square that a nucleus is drawn in

# Published optical densities of haematoxylin and of eosin in red, green, blue
Stains = tuple[tuple[float, float, float], tuple[float, float, float]]
RUIFROK: Stains = ((0.65, 0.70, 0.29), (0.07, 0.99, 0.11))  # Anal Quant Cytol Histol 2001, 23:291
MACENKO: Stains = ((0.56, 0.72, 0.41), (0.22, 0.80, 0.56))  # ISBI 2009, reference of the method
# "H&E" and "H&E 2" of ImageJ's Colour Deconvolution 2: Landini et al. 2021, Bioinformatics 37:1485
LANDINI: Stains = ((0.64, 0.72, 0.27), (0.09, 0.95, 0.28))
LANDINI_2: Stains = ((0.49, 0.77, 0.41), (0.05, 0.84, 0.54))


@dataclass(frozen=True)
class Domain:
    """How one laboratory stains and scans.

    Attributes
    ----------
    stains
        Optical density of haematoxylin and of eosin in red, green, blue.
    blur, noise
        SD of the scanner's blur, px, and of its noise, grey values. A lens of NA 0.75 in focus
        blurs by 0.65 px of 0.25 µm (0.22 wavelengths / NA: Zhang et al. 2007, Appl Opt 46:1819).
    concentration
        Of haematoxylin and of eosin, relative to the mean laboratory.
    glass
        Light of bare glass in red, green, blue, 0 to 1.
    darker
        Haematoxylin of a mitotic figure above that of a look-alike, optical density.
    shrunken
        Radius of a look-alike relative to that of a mitotic figure.
    """

    stains: Stains
    blur: float
    noise: float
    mpp: float
    concentration: tuple[float, float] = (1.0, 1.0)
    glass: tuple[float, float, float] = (1.0, 1.0, 1.0)
    darker: float = 0.0
    shrunken: float = 1.0


DOMAINS = {
    "demo breast": Domain(RUIFROK, 0.65, 3, 0.23, darker=0.25),
    "demo lung": Domain(
        MACENKO, 1.0, 4, 0.25, (0.8, 1.2), (0.96, 0.94, 0.95), darker=0.1, shrunken=0.95
    ),
    "demo lymphoma": Domain(LANDINI_2, 0.8, 5, 0.25, (1.2, 0.8), (0.94, 0.95, 0.90), shrunken=0.85),
}
SLIDE_DOMAIN = Domain(LANDINI, 0.7, 4, 0.25, glass=(0.97, 0.97, 0.97), darker=0.1, shrunken=0.95)


def nucleus_mask(
    rng: np.random.Generator, radius: float, stretch: float, ragged: float
) -> np.ndarray:
    """Return the fraction (0 to 1) of each px of a square that a nucleus covers.

    Parameters
    ----------
    radius
        px
    stretch
        Root of the ratio of the long to the short axis.
    ragged
        Amplitude of the edge's waves, as a fraction of the radius.
    """
    y, x = np.mgrid[-NUCLEUS_RADIUS : NUCLEUS_RADIUS + 1, -NUCLEUS_RADIUS : NUCLEUS_RADIUS + 1]
    turn = rng.uniform(0, np.pi)
    u, v = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    angle = np.arctan2(v * stretch, u / stretch)
    edge = np.full_like(angle, 1 + rng.uniform(-0.05, 0.05))
    edge += 0.06 * np.sin(2 * angle + rng.uniform(0, 2 * np.pi))
    edge += ragged * np.sin(rng.integers(7, 12) * angle + rng.uniform(0, 2 * np.pi))
    distance = np.hypot(u / stretch, v * stretch) / radius
    return np.clip((edge - distance) * radius + 0.5, 0, 1)


def draw_nucleus(layer: np.ndarray, x: float, y: float, shape: np.ndarray, depth: float) -> None:
    """Raise the density of a layer of dye where a nucleus at a centre (px) covers it."""
    left, top = round(x) - NUCLEUS_RADIUS, round(y) - NUCLEUS_RADIUS
    x0, y0 = max(left, 0), max(top, 0)
    x1, y1 = min(left + shape.shape[1], layer.shape[1]), min(top + shape.shape[0], layer.shape[0])
    part = shape[y0 - top : y1 - top, x0 - left : x1 - left] * depth
    layer[y0:y1, x0:x1] = np.maximum(layer[y0:y1, x0:x1], part)


def smooth_noise(rng: np.random.Generator, side: int, grain: int) -> np.ndarray:
    """Return smooth noise of mean zero and SD one, (side, side)."""
    coarse = gaussian_filter(rng.normal(size=(side // grain + 3, side // grain + 3)), 1)
    fine = zoom(coarse, grain, order=1)[:side, :side]
    return (fine - fine.mean()) / fine.std()


def draw_tissue(
    rng: np.random.Generator, domain: Domain, side: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw one region and the cells in it.

    Returns
    -------
    pixels : (side, side, 3) uint8
    centres : (CELLS, 2) int, px
    labels : (CELLS,), 1 for a mitotic figure
    """
    scale = MPP / domain.mpp
    blue = 0.12 + 0.04 * smooth_noise(rng, side, 12)
    pink = 0.30 + 0.08 * smooth_noise(rng, side, 25)
    for x, y in rng.uniform(0, side, size=(side * side // AREA_PER_NUCLEUS, 2)):
        pale = nucleus_mask(rng, scale * rng.uniform(9, 14), rng.uniform(1, 1.25), 0)
        draw_nucleus(blue, x, y, pale, rng.uniform(0.4, 0.8))
    squares = np.stack(np.meshgrid(*[np.arange(GRID)] * 2), -1).reshape(-1, 2)
    places = squares + 0.5 + rng.uniform(-0.4, 0.4, size=squares.shape)
    centres = (places * side / GRID).round().astype(int)
    labels = (rng.uniform(size=CELLS) < rng.uniform(0.3, 0.6)).astype(int)
    for (x, y), label in zip(centres, labels, strict=True):
        ragged = rng.uniform(0.05, 0.18) if label else rng.uniform(0.0, 0.12)
        radius = scale * rng.uniform(8, 12) * (1 if label else domain.shrunken)
        shape = nucleus_mask(rng, radius, rng.uniform(1.0, 1.35), ragged)
        cytoplasm = nucleus_mask(rng, 1.5 * radius, 1.1, 0)
        draw_nucleus(pink, x, y, cytoplasm, max(rng.normal(0.30 if label else 0.36, 0.10), 0))
        draw_nucleus(blue, x, y, shape, rng.normal(1.25 + domain.darker * label, 0.15))
    return scan(rng, blue, pink, domain), centres, labels


def scan(
    rng: np.random.Generator, blue: np.ndarray, pink: np.ndarray, domain: Domain
) -> np.ndarray:
    """Return the scanned image (h, w, 3) uint8 of two layers of dye (h, w)."""
    bath = rng.uniform(0.85, 1.15, size=2) * domain.concentration  # of this slide
    density = blue[..., None] * domain.stains[0] * bath[0]
    density = density + pink[..., None] * domain.stains[1] * bath[1]
    light = 255 * np.array(domain.glass) * np.exp(-np.clip(density, 0, None))
    light = gaussian_filter(light, (domain.blur, domain.blur, 0))
    light += rng.normal(scale=domain.noise, size=light.shape)
    return np.clip(light, 0, 255).astype(np.uint8)


def tiff_tags(mpp: float) -> dict[str, Any]:
    """Return arguments of tifffile for the resolution and the notice of synthetic tissue."""
    return {
        "resolution": (1e4 / mpp, 1e4 / mpp),
        "resolutionunit": "CENTIMETER",
        "description": NOTICE,
    }


def make_midog_set(annotations: Path, images: Path, *, side: int = 900, seed: int = 1) -> None:
    """Write MIDOG-style JSON with corner boxes and flat TIFF regions, three domains."""
    images.mkdir(parents=True, exist_ok=True)
    listed: list[dict[str, object]] = []
    boxes: list[dict[str, object]] = []
    for index, (name, domain) in enumerate(
        (n, d) for n, d in DOMAINS.items() for _ in range(SLIDES)
    ):
        rng = np.random.default_rng([seed, index])
        pixels, centres, labels = draw_tissue(rng, domain, side)
        file = f"{index + 1:03d}.tiff"
        tifffile.imwrite(images / file, pixels, photometric="rgb", **tiff_tags(domain.mpp))
        size = {"width": side, "height": side, "tumor_type": name}
        listed.append({"id": index + 1, "file_name": file, **size})
        for (x, y), label in zip(centres.tolist(), labels, strict=True):
            box = [x - 25, y - 25, x + 25, y + 25]
            about = {"image_id": index + 1, "category_id": 1 if label else 2}
            boxes.append({"id": len(boxes) + 1, "bbox": box, **about})
    kinds = [{"id": 1, "name": "mitotic figure"}, {"id": 2, "name": "not mitotic figure"}]
    content = {"info": NOTICE, "images": listed, "categories": kinds, "annotations": boxes}
    annotations.write_text(json.dumps(content), encoding="utf-8")


def _pyramid(path: Path, pixels: np.ndarray, mpp: float) -> None:
    tiles: dict[str, Any] = {"tile": (256, 256), "compression": "zlib", "photometric": "rgb"}
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(pixels, **tiles, **tiff_tags(mpp))
        tiff.write(pixels[::4, ::4], subfiletype=1, **tiles)


SCHEMA = """
CREATE TABLE Slides (uid INTEGER PRIMARY KEY, filename TEXT, width INTEGER, height INTEGER,
                     directory TEXT);
CREATE TABLE Classes (uid INTEGER PRIMARY KEY, name TEXT);
CREATE TABLE Annotations (uid INTEGER PRIMARY KEY, slide INTEGER, type INTEGER,
                     agreedClass INTEGER);
CREATE TABLE Annotations_coordinates (uid INTEGER PRIMARY KEY, coordinateX INTEGER,
                     coordinateY INTEGER, slide INTEGER, annoId INTEGER, orderIdx INTEGER);
INSERT INTO Classes VALUES (1, 'eosinophilic granulocyte'), (2, 'mitotic figure'),
                           (3, 'tumor cell'), (7, 'mitotic figure look-alike');
"""


def _points(
    slide: int, centres: np.ndarray, labels: np.ndarray
) -> Iterator[tuple[int, int, int, int]]:
    for (x, y), label in zip(centres.tolist(), labels, strict=True):
        yield slide, 2 if label else 7, x, y
    yield slide, 3, 100, 100  # a tumour cell, which no card uses


def make_sliderunner_set(
    annotations: Path, images: Path, *, side: int = 1024, seed: int = 2
) -> None:
    """Write a SlideRunner database of the old generation and pyramidal tiled TIFF, one domain."""
    images.mkdir(parents=True, exist_ok=True)
    annotations.unlink(missing_ok=True)
    database = sqlite3.connect(annotations)
    database.executescript(SCHEMA)
    uid = 0
    for slide in range(1, SLIDES + 1):
        pixels, centres, labels = draw_tissue(
            np.random.default_rng([seed, slide]), SLIDE_DOMAIN, side
        )
        _pyramid(images / f"slide_{slide}.tiff", pixels, SLIDE_DOMAIN.mpp)
        row = (slide, f"slide_{slide}.tiff", NOTICE)
        database.execute("INSERT INTO Slides VALUES (?, ?, NULL, NULL, ?)", row)
        for where, kind, x, y in _points(slide, centres, labels):
            uid += 1
            database.execute("INSERT INTO Annotations VALUES (?, ?, 1, ?)", (uid, where, kind))
            point = (uid, x, y, where, uid)
            database.execute("INSERT INTO Annotations_coordinates VALUES (?, ?, ?, ?, ?, 1)", point)
    database.commit()
    database.close()
