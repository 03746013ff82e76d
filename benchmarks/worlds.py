"""Invented embeddings of real cells, with effects of known strength: what `full_study.py` runs on.

Slides, labels and domains are those of MIDOG 2022 and CCMCT; so are the positions of MIDOG
2022. CCMCT's annotations are not at hand: its positions are invented, uniform over a square
of each slide's real area. All embeddings are invented.
"""

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from cryotome.core.cards import Card
from cryotome.core.store import EMBEDDINGS, VERSION, finalise_store
from cryotome.data.cells import read_cells
from cryotome.data.overlap import pixel_boxes, shared_area, sharing_pairs
from cryotome.data.windows import margin_of

SIDE, NATIVE = 224, 0.25  # px seen; µm per px of CCMCT
SPECTRUM = 0.4  # the SD of dimension j falls as (1 + j) ** -SPECTRUM, with a mean variance of 1
COLUMNS = 256  # dimensions that are drawn at once


@dataclass(frozen=True)
class World:
    """What is planted, in SDs of the noise of one cell along any direction.

    Attributes
    ----------
    signature
        Length of a direction of its own that every slide adds to its cells. Slides keep
        their real prevalence, so whoever has trained on a slide gains from knowing it.
    stain
        SD of the shift of a slide along the direction of the class.
    pixels
        Weight, times the share of the window in common, at which the noise of one cell
        enters that of another.
    turned
        Cosine of the direction of the class between a domain and all domains.
    moved
        Length of the shift that a domain adds to its cells.
    """

    signature: float = 0.0
    stain: float = 0.0
    pixels: float = 0.0
    turned: float = 1.0
    moved: float = 0.0


WORLDS = {
    "planted": World(signature=5.0, stain=0.3, pixels=1.0, turned=0.8, moved=3.0),
    "none": World(),
}


def read_midog2022(data: Path, card: Card) -> pd.DataFrame:
    """Read the real cells."""
    return read_cells(data / card["annotations"], data, card, "midog2022")


def invent_ccmct(data: Path, seed: int = 0) -> pd.DataFrame:
    """Return cells on the real slides in their real numbers, at invented places."""
    rng, parts = np.random.default_rng(seed), []
    slides = pd.read_csv(data / "ccmct_per_slide.csv").sort_values("fn")
    for slide in slides.to_dict("records"):
        labels = np.repeat([1, 0], [slide["mfO"], slide["laO"]])
        edge = np.sqrt(slide["mm2"]) * 1000 / NATIVE
        x, y = np.round(rng.uniform(0, edge, size=(2, len(labels))))
        part = {"image": slide["fn"], "slide": slide["fn"], "x": x, "y": y}
        parts.append(pd.DataFrame(part | {"domain": "canine_mast_cell", "label": labels}))
    cells = pd.concat(parts, ignore_index=True)
    cells.insert(0, "id", cells.index)
    return cells


def windows_of(cells: pd.DataFrame) -> pd.DataFrame:
    """Place windows at native resolution, as `place_windows` does with `border: black`."""
    corner = np.floor(cells[["x", "y"]] - SIDE / 2).set_axis(["left", "top"], axis=1)
    placed = {"side": float(SIDE), "margin": float(margin_of(SIDE, 1)), "place": cells["image"]}
    return pd.concat([cells["id"], corner], axis=1).assign(**placed)


def mixing(windows: pd.DataFrame) -> csr_array:
    """Return how much of its window each cell shares with each other one, (n, n)."""
    boxes = pixel_boxes(windows, stored=False)
    i, j = sharing_pairs(boxes, boxes, places=(windows["place"], windows["place"])).T
    share = shared_area(boxes[i], boxes[j]) / SIDE**2
    other = i != j
    shape = (len(windows), len(windows))
    return csr_array((share[other], (i[other], j[other])), shape=shape, dtype=np.float32)


def _units(count: int, width: int, rng: np.random.Generator) -> np.ndarray:
    drawn = rng.standard_normal((count, width))
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def embed(
    cells: pd.DataFrame,
    shares: csr_array,
    world: World,
    *,
    width: int,
    signal: float,
    seed: int,
    sd: float = 1.0,
) -> np.ndarray:
    """Invent the embeddings of all cells, (n, width) float32.

    Parameters
    ----------
    shares
        From `mixing`.
    signal
        Distance of the classes, SDs of noise.
    sd
        Root of the mean variance of the noise of a dimension.
    """
    rng = np.random.default_rng(seed)
    slide, slides = pd.factorize(cells["slide"])
    domain, domains = pd.factorize(cells["domain"])
    common = _units(1, width, rng)
    own = _units(len(domains), width, rng)
    classes = world.turned * common + np.sqrt(1 - world.turned**2) * own
    shift = world.moved * _units(len(domains), width, rng)
    of_slide = world.signature * _units(len(slides), width, rng)
    of_slide += world.stain * rng.standard_normal((len(slides), 1)) * common
    mix = world.pixels * shares
    size = np.sqrt(1 + mix.power(2).sum(axis=1))[:, None].astype(np.float32)
    scale = (1 + np.arange(width)) ** -SPECTRUM
    scale *= sd / np.sqrt((scale**2).mean())
    label = signal * cells["label"].to_numpy(np.float32)[:, None]
    out = np.empty((len(cells), width), np.float32)
    for first in range(0, width, COLUMNS):
        part = slice(first, min(first + COLUMNS, width))
        noise = rng.standard_normal((len(cells), part.stop - first), dtype=np.float32)
        mixed = (noise + mix @ noise) / size
        mixed += label * classes[:, part].astype(np.float32)[domain]
        mixed += (of_slide[:, part]).astype(np.float32)[slide]
        mixed += (shift[:, part]).astype(np.float32)[domain]
        out[:, part] = mixed * scale[part].astype(np.float32)
    return out


def write_store(path: Path, x: np.ndarray, ids: np.ndarray, about: Card) -> None:
    """Write a store as `write_embeddings` lays it out; `about` goes into its passport."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file["embedding"], file["id"] = x, ids
    said = {"format": EMBEDDINGS, "version": VERSION, "recipe": 0}
    said |= {"weights_sha256": "invented", "patches_sha256": "invented"}
    finalise_store(path, "embedding", said | about)
