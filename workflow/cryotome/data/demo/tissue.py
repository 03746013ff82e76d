"""Synthetic patches of nine tissue classes in class folders, with a notice in each file.

The classes have the names of NCT-CRC-HE's and resemble them roughly. Pairs share colours and
differ in texture (muscle and stroma, mucosa and tumour, fat and background), or share texture
and differ in colour, and all of it varies, so that neither colour alone nor a random network
separates them completely.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import tifffile

from cryotome.core.tables import write_csv
from cryotome.data.demo.mitoses import (
    NOTICE,
    Domain,
    draw_nucleus,
    nucleus_mask,
    scan,
    smooth_noise,
    tiff_tags,
)

SIDE = 64  # px
TRAINING = 24  # patches of each class
EXTERNAL = 12
HOME = Domain(((0.65, 0.70, 0.29), (0.07, 0.99, 0.11)), 0.5, 8, 0.5)
ABROAD = Domain(((0.61, 0.72, 0.32), (0.09, 0.94, 0.14)), 0.6, 8, 0.5)

Layers = tuple[np.ndarray, np.ndarray]  # haematoxylin and eosin, (SIDE, SIDE) optical density
Drawing = Callable[[np.random.Generator, Layers], None]


def _nuclei(
    rng: np.random.Generator,
    layers: Layers,
    places: np.ndarray,
    *,
    radius: tuple[float, float],
    stretch: tuple[float, float] = (1, 1.15),
    ragged: float = 0.02,
) -> None:
    for x, y in places:
        shape = nucleus_mask(
            rng, rng.uniform(*radius), rng.uniform(*stretch), rng.uniform(0, ragged)
        )
        draw_nucleus(layers[0], x, y, shape, rng.normal(0.9, 0.15))


def _anywhere(rng: np.random.Generator, low: int, high: int) -> np.ndarray:
    return rng.uniform(0, SIDE, size=(rng.integers(low, high), 2))


def _fibres(rng: np.random.Generator, layers: Layers, waves: tuple[float, float]) -> None:
    """Draw parallel fibres, wavy with an amplitude from a range, px."""
    y, x = np.mgrid[:SIDE, :SIDE]
    turn, period = rng.uniform(0, np.pi), rng.uniform(6, 11)
    u, v = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    swing = rng.uniform(*waves) * np.sin(2 * np.pi * v / rng.uniform(20, 34))
    layers[1][:] += rng.uniform(0.05, 0.16) * np.sin(2 * np.pi * (u + swing) / period)


def _adipose(rng: np.random.Generator, layers: Layers) -> None:
    layers[1][:] *= 0.15
    y, x = np.mgrid[:SIDE, :SIDE, :1][:2]  # (SIDE, SIDE, 1) each
    seeds = rng.uniform(-8, SIDE + 8, size=(rng.integers(7, 12), 2))
    near = np.sort(np.hypot(x - seeds[:, 0], y - seeds[:, 1]), axis=2)
    layers[1][:] += rng.uniform(0.1, 0.4) * np.exp(-(near[..., 1] - near[..., 0]) / 2)


def _background(rng: np.random.Generator, layers: Layers) -> None:
    layers[1][:] *= rng.uniform(0.1, 0.4)
    _nuclei(rng, layers, _anywhere(rng, 0, 2), radius=(1, 2))


def _debris(rng: np.random.Generator, layers: Layers) -> None:
    layers[0][:] += 0.08 * smooth_noise(rng, SIDE, 3).clip(0)
    _nuclei(rng, layers, _anywhere(rng, 5, 16), radius=(1.2, 3), ragged=0.3)


def _lymphocytes(rng: np.random.Generator, layers: Layers) -> None:
    _nuclei(rng, layers, _anywhere(rng, 24, 42), radius=(2.5, 3.8))


def _mucus(rng: np.random.Generator, layers: Layers) -> None:
    layers[1][:] *= 0.4
    layers[0][:] += 0.12
    _fibres(rng, layers, (4, 12))
    _nuclei(rng, layers, _anywhere(rng, 0, 4), radius=(2.5, 3.8))


def _muscle(rng: np.random.Generator, layers: Layers) -> None:
    _fibres(rng, layers, (0, 2.5))
    _nuclei(rng, layers, _anywhere(rng, 3, 9), radius=(3, 4.5), stretch=(1.5, 2.1))


def _mucosa(rng: np.random.Generator, layers: Layers) -> None:
    """Draw nuclei of equal size in a ring around a lumen."""
    middle, reach = rng.uniform(22, 42, size=2), rng.uniform(13, 21)
    angles = np.arange(0, 2 * np.pi, rng.uniform(6.5, 8) / reach)
    places = middle + reach * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    _nuclei(rng, layers, places + rng.normal(scale=1.2, size=places.shape), radius=(3, 4))
    _nuclei(rng, layers, _anywhere(rng, 2, 10), radius=(2.5, 4))


def _stroma(rng: np.random.Generator, layers: Layers) -> None:
    _fibres(rng, layers, (1.5, 6))
    _nuclei(rng, layers, _anywhere(rng, 3, 12), radius=(3, 4.5), stretch=(1.3, 2))


def _tumour(rng: np.random.Generator, layers: Layers) -> None:
    _nuclei(rng, layers, _anywhere(rng, 9, 22), radius=(3.5, 6.5), stretch=(1, 1.4), ragged=0.2)


CLASSES: dict[str, Drawing] = {
    "ADI": _adipose,
    "BACK": _background,
    "DEB": _debris,
    "LYM": _lymphocytes,
    "MUC": _mucus,
    "MUS": _muscle,
    "NORM": _mucosa,
    "STR": _stroma,
    "TUM": _tumour,
}


def draw_patch(rng: np.random.Generator, name: str, domain: Domain) -> np.ndarray:
    """Draw one patch of a class, (SIDE, SIDE, 3) uint8."""
    blue = rng.uniform(0.04, 0.2) + 0.05 * smooth_noise(rng, SIDE, 8)
    pink = rng.uniform(0.16, 0.42) + 0.06 * smooth_noise(rng, SIDE, 12)
    CLASSES[name](rng, (blue, pink))
    return scan(rng, blue, pink, domain)


def make_tissue(table: Path, images: Path, *, count: int, domain: Domain, seed: int) -> None:
    """Write `count` patches of each class, one folder per class, and a CSV that lists them."""
    lines = []
    for place, name in enumerate(CLASSES):
        (images / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            pixels = draw_patch(np.random.default_rng([seed, place, number]), name, domain)
            image = f"{name}-{number:03d}"
            tifffile.imwrite(
                images / name / f"{image}.tif", pixels, photometric="rgb", **tiff_tags(domain.mpp)
            )
            lines.append((image, NOTICE))
    write_csv(pd.DataFrame(lines, columns=["image", "notice"]), table)
