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
from cryotome.resume import Growing, growing
from cryotome.stores import EMBEDDINGS, PATCHES, VERSION, passport

if TYPE_CHECKING:
    import torch

NAMED = ("torch", "timm", "torchvision", "transformers")  # whose versions a passport names
BATCH = 64  # patches embedded at once, and kept together
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


def make_embedder(
    card: Card, name: str, *, view: str, side: int, weights_dir: Path, device: str, threads: int
) -> tuple[Embed, str, str]:
    """Return a function that embeds a batch of patches, the hash of its weights, and its device.

    Parameters
    ----------
    side
        Side of the patches that the encoder is given, px.
    device
        `auto`, `cpu` or `job`, as `device` of the config.
    """
    if card["loader"] == "colour_histogram":
        return lambda pixels: colour_histogram(pixels, **card["arguments"]), "none", "cpu"
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

    return embed, weights_sha256, on.type


def write_embeddings(
    store: Path,
    patch_store: Path,
    card: Card,
    *,
    model: str,
    partial: Path,
    **how: Any,
) -> None:
    """Embed every patch of a store once.

    The file holds `embedding` (n, dim) float32 and `id` (n,), and carries its passport
    as attributes: model, view, card, weights, patch store, recipe, versions. Batches that
    a kill left in `partial` are not embedded again.

    Parameters
    ----------
    how
        View, weights folder, device and threads, as `make_embedder` takes them.

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
    embed, weights_sha256, on = make_embedder(card, model, side=source["seen"], **how)
    about = {
        "format": EMBEDDINGS,
        "version": VERSION,
        "recipe": recipes.EMBEDDINGS,
        "model": model,
        "view": how["view"],
        "card": json.dumps(card, sort_keys=True),
        "weights_sha256": weights_sha256,
        "patches_sha256": source["patches_sha256"],
        "cells_sha256": source["cells_sha256"],
        "versions": json.dumps({name: version(name) for name in NAMED}),
    }
    with h5py.File(patch_store) as file:
        ids, decides = file["id"][:], about | {"batch": BATCH, "device": on}
        shape = (len(ids), card["dim"])
        begun = growing(partial, "embedding", shape=shape, dtype="f4", ids=ids, passport=decides)
        with begun as grown:
            _embed_into(grown, file, source["seen"], embed, card=card, model=model)
            grown.finish(store, about)


def _embed_into(
    store: Growing, file: h5py.File, seen: int, embed: Embed, *, card: Card, model: str
) -> None:
    edge, ids = (file["patch"].shape[1] - seen) // 2, file["id"][:]
    for first in _batches(store, model):
        until, inner = first + BATCH, slice(edge, edge + seen)
        part = embed(file["patch"][first:until, inner, inner])
        _check_embedding(part, ids[first:until], card, model)
        store.put(first, part)


def _batches(store: Growing, model: str) -> Iterator[int]:
    """Yield the first row of each batch that the store lacks, and show how far it is."""
    count = store.shape[0]
    with tqdm(total=count, desc=f"embed {model}", unit="patch", mininterval=5) as bar:
        for first in range(0, count, BATCH):
            size = min(BATCH, count - first)
            if not store.holds(first, size):
                yield first
            bar.update(size)


def _check_embedding(part: np.ndarray, ids: np.ndarray, card: Card, model: str) -> None:
    if part.shape[1] != card["dim"]:
        raise StoreError(
            f"{model} gives {part.shape[1]} features, its card says `dim: {card['dim']}`. "
            f"Correct config/models/{model}.yaml."
        )
    wrong = ~np.isfinite(part).all(axis=1)
    if wrong.any():
        raise StoreError(
            f"{model} gives NaN or infinite features for {wrong.sum()} of {len(part)} patches, "
            f"first of cell {ids[wrong][0]}. fp16 overflows in some networks: try a view "
            "`...-bf16` or `...-fp32`; else the weights are broken."
        )


def read_embeddings(
    path: Path, *, model: str, view: str, cells_sha256: str
) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Read an embedding store after checking its passport and its content.

    Returns
    -------
    embedding : (n, dim) float32
    ids : (n,) int
    passport

    Raises
    ------
    StoreError
        The store is of another model, view or table of cells, or holds what cannot be
        embeddings: NaN, another dimension than its card says, or not one per id.
    """
    stamps = passport(path, EMBEDDINGS)
    wanted = {"model": model, "view": view, "cells_sha256": cells_sha256}
    for name, value in wanted.items():
        if stamps.get(name) != value:
            raise StoreError(
                f"{path} was made for {name} {stamps.get(name)}, but {value} is asked "
                "for. Delete it and rerun."
            )
    with h5py.File(path) as file:
        lacking = [name for name in ("embedding", "id") if name not in file]
        if lacking:
            raise StoreError(f"{path} holds no {' and no '.join(lacking)}. Delete it and rerun.")
        embedding, ids = file["embedding"][:], file["id"][:]
    _check_content(path, embedding, ids, json.loads(stamps["card"]))
    return embedding, ids, stamps


def _check_content(path: Path, embedding: np.ndarray, ids: np.ndarray, card: Card) -> None:
    due = (len(ids), card["dim"])
    if embedding.shape != due:
        raise StoreError(
            f"{path} holds embeddings of shape {embedding.shape}, where its ids and its card say "
            f"{due}. Delete it and rerun."
        )
    wrong = ~np.isfinite(embedding).all(axis=1)
    if wrong.any():
        raise StoreError(
            f"{path} holds NaN or infinite embeddings for {wrong.sum()} cells, first "
            f"{ids[wrong][0]}. Delete it and rerun."
        )
