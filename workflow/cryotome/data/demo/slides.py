"""Synthetic colorectal slides with a known signal: more lymphocytes in MSI-H.

Pink tissue with pale nuclei lies on glass. Lymphocytes are small, round and dark, and cluster;
their fraction among the nuclei is the signal. Stain and scanner differ between the cohorts, the
staining bath between slides.
"""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from scipy.ndimage import gaussian_filter

from cryotome.core.files import atomic_write
from cryotome.data.demo.cohorts import DemoCohort, DemoSlide, cohort_slides
from cryotome.data.demo.mitoses import (
    NOTICE,
    Domain,
    draw_nucleus,
    nucleus_mask,
    smooth_noise,
    tiff_tags,
)

MPP = 0.5  # µm/px
LABORATORIES = [
    Domain(((0.65, 0.70, 0.29), (0.07, 0.99, 0.11)), 0.5, 5, MPP),
    Domain(((0.60, 0.72, 0.38), (0.12, 0.88, 0.22)), 0.8, 7, MPP),
]
AREA_PER_NUCLEUS = 700  # px² of tissue per nucleus
CROWD_GRID = 8  # squares along a side that differ in density of lymphocytes
DOWNSAMPLE = 4  # times the second level is smaller
GLASS = 243.0
LABEL_COLUMNS = ("Participant", "Project", "MSI Status")  # of the label table


def draw_slide(
    rng: np.random.Generator, laboratory: Domain, *, side: int, share: float
) -> tuple[np.ndarray, np.ndarray]:
    """Draw one slide.

    Parameters
    ----------
    share
        Fraction of lymphocytes among the nuclei, 0 to 1; negative for glass without tissue.

    Returns
    -------
    pixels : (side, side, 3) uint8
    tissue : (side, side) bool
    """
    y, x = np.mgrid[:side, :side] / side - 0.5
    tissue = np.hypot(x, y) < 0.40 + 0.05 * smooth_noise(rng, side, side // 8)
    tissue &= share >= 0
    grounds = (0.18 + 0.05 * smooth_noise(rng, side, 12), 0.30 + 0.08 * smooth_noise(rng, side, 25))
    blue, pink = (np.where(tissue, part, 0).astype(np.float32) for part in grounds)
    _add_nuclei(rng, blue, tissue, share)
    strength = rng.uniform(0.85, 1.15, size=2)  # this slide's bath
    stains = (np.array(laboratory.stains) * strength[:, None]).astype(np.float32)
    density = np.stack([blue, pink], axis=-1) @ stains
    blur = (laboratory.blur, laboratory.blur, 0)
    light = gaussian_filter(GLASS * np.exp(-np.clip(density, 0, None)), blur)
    light += laboratory.noise * rng.standard_normal(light.shape, dtype=np.float32)
    return np.clip(light, 0, 255).astype(np.uint8), tissue


def _add_nuclei(
    rng: np.random.Generator, blue: np.ndarray, tissue: np.ndarray, share: float
) -> None:
    side = len(tissue)
    crowd = np.exp(
        0.6 * rng.normal(size=(CROWD_GRID, CROWD_GRID))
    )  # relative density of lymphocytes
    for left, top in rng.uniform(0, side, size=(side * side // AREA_PER_NUCLEUS, 2)):
        if not tissue[int(top), int(left)]:
            continue
        if (
            rng.uniform()
            < share * crowd[int(top * CROWD_GRID / side), int(left * CROWD_GRID / side)]
        ):
            shape, depth = nucleus_mask(rng, rng.uniform(4.5, 6), 1, 0), rng.uniform(1.4, 1.7)
        else:
            shape = nucleus_mask(rng, rng.uniform(7, 11), rng.uniform(1, 1.5), 0)
            depth = rng.uniform(0.4, 0.7)
        draw_nucleus(blue, left, top, shape, depth)


def _write_pyramid(path: Path, pixels: np.ndarray, *, with_mpp: bool) -> None:
    tiles: dict[str, Any] = {"tile": (256, 256), "photometric": "rgb"}
    tiles |= {"compression": "zlib", "compressionargs": {"level": 1}}
    side = len(pixels) // DOWNSAMPLE
    small = pixels[: side * DOWNSAMPLE, : side * DOWNSAMPLE].reshape(
        side, DOWNSAMPLE, side, DOWNSAMPLE, 3
    )
    first = tiff_tags(MPP) if with_mpp else {"description": NOTICE}
    with atomic_write(path) as beside, tifffile.TiffWriter(beside) as tiff:
        tiff.write(pixels, **tiles, **first)
        tiff.write(small.mean(axis=(1, 3)).astype(np.uint8), subfiletype=1, **tiles)


def make_cohort_slides(cohort: DemoCohort, folder: Path) -> None:
    """Write the slides of a cohort as pyramidal tiled TIFF."""
    for number, slide in enumerate(cohort_slides(cohort)):
        rng = np.random.default_rng([cohort.seed, number])
        share = rng.uniform(0.05, 0.25) + cohort.effect * (slide.label == "MSI-H")
        share = -1.0 if slide.shows == "glass" else share
        pixels, _ = draw_slide(rng, LABORATORIES[cohort.laboratory], side=cohort.side, share=share)
        with_mpp = slide.shows != "no mpp"
        _write_pyramid(folder / f"{slide.name}.tiff", pixels, with_mpp=with_mpp)


def _write_rows(path: Path, rows: list[tuple[str, ...]]) -> None:
    with atomic_write(path) as beside, open(beside, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def write_cohort_tables(labels: Path, table: Path, slides: list[DemoSlide]) -> None:
    """Write the label table, with a project that no card uses, and the slide table."""
    known = {slide.patient: slide.label for slide in slides}
    rows = [(patient, "DEMO", label) for patient, label in known.items()]
    _write_rows(labels, [LABEL_COLUMNS, *rows, ("OTHER-001", "OTHER", "MSI-H")])
    _write_rows(table, [("FILENAME", "PATIENT"), *((s.name, s.patient) for s in slides)])
