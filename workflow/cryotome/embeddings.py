"""The embedding store: written once with its passport, read by id.

Reading needs no torch, whose import would cost every probe job seconds; so the functions
that embed import it themselves.
"""

import json
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from tqdm import tqdm

from cryotome import recipes
from cryotome.cards import Card
from cryotome.colours import colour_histogram
from cryotome.errors import StoreError
from cryotome.paths import written_whole
from cryotome.stores import EMBEDDINGS, PATCHES, VERSION, passport

if TYPE_CHECKING:
    import torch

NAMED = ("torch", "timm", "torchvision", "transformers")  # whose versions a passport names
PRECISIONS = {"bf16": "bfloat16", "fp16": "float16"}

Embed = Callable[[np.ndarray], np.ndarray]  # (n, side, side, 3) uint8 to (n, dim) float32


def transform_patches(batch: "torch.Tensor", transform: Card | None) -> "torch.Tensor":
    """Resize and crop as the authors of a model do; nothing where `transform` is None.

    Parameters
    ----------
    batch : (n, 3, side, side) uint8
    transform
        `transform` of the model's card: resize (short side, or height and width), px,
        interpolation, and centre crop, px.
    """
    if transform is None:
        return batch
    from torchvision.transforms.v2 import functional as geometry

    mode = geometry.InterpolationMode(transform["interpolation"])
    batch = geometry.resize(batch, transform["resize"], interpolation=mode, antialias=True)
    return geometry.center_crop(batch, transform["crop"]) if transform["crop"] else batch


def network_embedder(
    card: Card, name: str, *, view: str, side: int, weights_dir: Path, device: str, threads: int
) -> tuple[Embed, str]:
    """Return a function that embeds a batch of patches, and the hash of its weights."""
    import torch

    from cryotome.encoders import build_encoder, check_side, pick_device, use_threads

    policy, precision = view.split("-")
    transform = card.get("transform") if policy == "card" else None
    if transform is None:
        check_side(card, name, side)
    use_threads(threads)
    encoder, weights_sha256 = build_encoder(card, name, weights_dir)
    on = pick_device(device)
    encoder = encoder.to(on).to(memory_format=torch.channels_last)
    dtype = getattr(torch, PRECISIONS.get(precision, ""), None)

    def embed(batch: np.ndarray) -> np.ndarray:
        pixels = torch.from_numpy(batch).to(on).permute(0, 3, 1, 2)  # (n, 3, side, side)
        pixels = transform_patches(pixels, transform).float() / 255
        with torch.inference_mode(), torch.autocast(on.type, dtype, enabled=dtype is not None):
            return encoder(pixels).float().cpu().numpy()

    return embed, weights_sha256


def _batches(file: h5py.File, seen: int, size: int) -> Iterator[np.ndarray]:
    edge = (file["patch"].shape[1] - seen) // 2
    inner = slice(edge, edge + seen)
    for first in range(0, len(file["patch"]), size):
        yield file["patch"][first : first + size, inner, inner]


def write_embeddings(
    store: Path,
    patch_store: Path,
    card: Card,
    *,
    model: str,
    view: str,
    weights_dir: Path,
    device: str,
    threads: int,
    batch: int = 64,
) -> None:
    """Embed every patch of a store once.

    The file holds `embedding` (n, dim) float32 and `id` (n,), and carries its passport
    as attributes: model, view, card, weights, patch store, recipe, versions.

    Parameters
    ----------
    device
        `auto`, `cpu` or `job`, as `device` of the config.

    Raises
    ------
    WeightsError
        The model's weights cannot be had.
    CardError
        The network takes patches of another size.
    StoreError
        The patch store is none, or an embedding is not finite or not of the card's dimension.
    """
    source = passport(patch_store, PATCHES)
    if card["loader"] == "colour_histogram":
        embed: Embed = lambda pixels: colour_histogram(pixels, **card["arguments"])  # noqa: E731
        weights_sha256 = "none"
    else:
        embed, weights_sha256 = network_embedder(
            card,
            model,
            view=view,
            side=source["seen"],
            weights_dir=weights_dir,
            device=device,
            threads=threads,
        )
    with h5py.File(patch_store) as file, written_whole(store) as beside:
        embedding = _embed_all(file, source["seen"], embed, card, model, batch)
        with h5py.File(beside, "w") as out:
            out["embedding"], out["id"] = embedding, file["id"][:]
            out.attrs.update(
                {
                    "format": EMBEDDINGS,
                    "version": VERSION,
                    "recipe": recipes.EMBEDDINGS,
                    "model": model,
                    "view": view,
                    "card": json.dumps(card, sort_keys=True),
                    "weights_sha256": weights_sha256,
                    "patches_sha256": source["patches_sha256"],
                    "cells_sha256": source["cells_sha256"],
                    "versions": json.dumps({name: version(name) for name in NAMED}),
                }
            )


def _embed_all(
    file: h5py.File, seen: int, embed: Embed, card: Card, model: str, batch: int
) -> np.ndarray:
    """Embed a patch store batch by batch, and stop at the first embedding that cannot be."""
    count = len(file["patch"])
    embedding = np.empty((count, card["dim"]), dtype=np.float32)
    with tqdm(total=count, desc=f"embed {model}", unit="patch", mininterval=5) as bar:
        for pixels in _batches(file, seen, batch):
            part = embed(pixels)
            if part.shape[1] != card["dim"] or not np.isfinite(part).all():
                raise StoreError(
                    f"{model} gave {part.shape[1]} features (its card says {card['dim']}), "
                    f"finite: {np.isfinite(part).all()}. Check the card and the precision."
                )
            embedding[bar.n : bar.n + len(part)] = part
            bar.update(len(part))
    return embedding


def read_embeddings(
    path: Path, *, model: str, view: str, cells_sha256: str
) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Read an embedding store after checking its passport.

    Returns
    -------
    embedding : (n, dim) float32
    ids : (n,) int
    passport

    Raises
    ------
    StoreError
        The store is of another model, view or table of cells.
    """
    stamps = passport(path, EMBEDDINGS)
    wanted = {"model": model, "view": view, "cells_sha256": cells_sha256}
    for name, value in wanted.items():
        if stamps[name] != value:
            raise StoreError(
                f"{path} was made for {name} {stamps[name]}, but {value} is asked "
                "for. Delete it and rerun."
            )
    with h5py.File(path) as file:
        return file["embedding"][:], file["id"][:], stamps
