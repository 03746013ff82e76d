"""The embedding store: written once with its passport, whole or in shards; read by id."""

import json
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from tqdm import tqdm

from cryotome.core import step_versions
from cryotome.core.cards import Card
from cryotome.core.errors import StoreError
from cryotome.core.store import EMBEDDINGS, PATCHES, VERSION, provenance, read_ids, read_rows
from cryotome.encoders.embedders import Embedder, make_embedder
from cryotome.runtime import ledger
from cryotome.runtime.resume import resumable_store

VERSIONED = ("torch", "timm", "torchvision", "transformers")  # whose versions a passport names
PATCHES_PER_READ = 512  # patches read at once


def write_embeddings(
    store: Path,
    patch_store: Path,
    card: Card,
    *,
    model: str,
    partial: Path,
    shards: Path,
    **how: Any,
) -> None:
    """Embed every patch of a store once.

    The file holds `embedding` (n, dim) float32 and `id` (n,), and carries its passport
    as attributes: model, view, card, weights, patch store, recipe, versions. Rows that
    a kill left in `partial`, or other jobs in `shards`, are not embedded again.

    Parameters
    ----------
    shards
        Folder with finished shards, which are taken over and removed; may be absent.
    how
        View, weights folder, device, threads, batches and cells, as `make_embedder` takes them.

    Raises
    ------
    WeightsError
        The model's weights cannot be had.
    CardError
        The network takes patches of another size.
    StoreError
        The patch store is none, or an embedding is not finite or not of the card's dimension.
    """
    seen = provenance(patch_store, PATCHES)["seen"]
    embedder = make_embedder(card, model, side=seen, **how)
    view = how["view"]
    embed_missing_patches(
        store, patch_store, card, embedder, model=model, view=view, partial=partial, shards=shards
    )


def write_shard(
    shard: Path,
    patch_store: Path,
    card: Card,
    *,
    model: str,
    part: tuple[int, int],
    partial: Path,
    **how: Any,
) -> None:
    """Embed one part of a store's rows, for `write_embeddings` to take over.

    Parameters
    ----------
    part
        Which one of how many, counted from one.
    how
        As `write_embeddings`; raises as it does, too.
    """
    seen = provenance(patch_store, PATCHES)["seen"]
    embedder = make_embedder(card, model, side=seen, **how)
    rows = _rows_of(part, len(read_ids(patch_store)), embedder.step)
    embed_missing_patches(
        shard,
        patch_store,
        card,
        embedder,
        model=model,
        view=how["view"],
        partial=partial,
        rows=rows,
    )


def _rows_of(part: tuple[int, int], count: int, step: int) -> range:
    """Return the rows of the k-th of n parts, which begin at multiples of a step."""
    k, n = part
    if count < n:
        raise StoreError(f"{count} patches make no {n} shards; ask for fewer, `shards: {count}`.")
    step = max(1, min(step, count // n))
    ends = [count * i // n // step * step for i in (k - 1, k)]
    return range(ends[0], count if k == n else ends[1])


def embed_missing_patches(
    store: Path,
    patch_store: Path,
    card: Card,
    embedder: Embedder,
    *,
    model: str,
    view: str,
    partial: Path,
    shards: Path | None = None,
    rows: range | None = None,
) -> None:
    """Embed patches with an embedder that is ready, all or some rows; else as above."""
    source = provenance(patch_store, PATCHES)
    about = {
        "format": EMBEDDINGS,
        "version": VERSION,
        "recipe": step_versions.EMBEDDINGS,
        "model": model,
        "view": view,
        "card": json.dumps(card, sort_keys=True),
        "weights_sha256": embedder.weights_sha256,
        "patches_sha256": source["patches_sha256"],
        "cells_sha256": source["cells_sha256"],
        "versions": json.dumps({name: version(name) for name in VERSIONED}),
    }
    ids = read_ids(patch_store)
    rows = range(len(ids)) if rows is None else rows
    ids = ids[rows.start : rows.stop]
    shape, decides = (len(ids), card["dim"]), about | {"device": embedder.device}
    begun = resumable_store(
        partial, "embedding", shape=shape, dtype="f4", ids=ids, passport=decides
    )
    bar = tqdm(total=len(ids), desc=f"embed {model}", unit="patch", mininterval=5)
    with begun as grown, bar:

        def keep(first: int, part: np.ndarray) -> None:
            first -= rows.start
            check_embedding(part, ids[first : first + len(part)], card, model)
            grown.put(first, part)
            bar.update(len(part))

        taken = _take_over(shards, about, ids, grown.put) if shards else []
        bar.update(grown.finished)
        blocks = [(rows.start + first, count) for first, count in grown.missing(PATCHES_PER_READ)]
        start, count = perf_counter(), sum(count for _, count in blocks)
        embedder.run(patch_store, blocks, keep, count=count)
        ledger.report_throughput(patches=count, seconds=perf_counter() - start)
        grown.finish(store, about)
    for shard in taken:
        shard.unlink()


def _take_over(
    folder: Path, about: dict[str, Any], ids: np.ndarray, put: Callable[[int, np.ndarray], None]
) -> list[Path]:
    """Put the rows of finished shards into their store; return the shards."""
    taken = []
    for shard in sorted(folder.glob("*.h5")):
        stamps = provenance(shard, EMBEDDINGS)
        other = [name for name, value in about.items() if stamps.get(name) != value]
        if other:
            print(f"{shard} is not used: it has another {', '.join(other)}.", file=sys.stderr)
            continue
        mine, part = read_ids(shard), read_rows(shard, "embedding")
        first = int(np.argmax(ids == mine[0]))
        if not np.array_equal(ids[first : first + len(mine)], mine):
            raise StoreError(f"{shard} holds other cells than its store. Delete it and rerun.")
        put(first, part)
        taken.append(shard)
        print(f"{shard} is taken over.", file=sys.stderr)
    return taken


def check_embedding(part: np.ndarray, ids: np.ndarray, card: Card, model: str) -> None:
    """Stop where a model gives what cannot be embeddings.

    Raises
    ------
    StoreError
        An embedding is not finite, or not of the card's dimension.
    """
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
    stamps = provenance(path, EMBEDDINGS)
    wanted = {"model": model, "view": view, "cells_sha256": cells_sha256}
    for name, value in wanted.items():
        if stamps.get(name) != value:
            raise StoreError(
                f"{path} was made for {name} {stamps.get(name)}, but {value} is asked "
                "for. Delete it and rerun."
            )
    embedding, ids = read_rows(path, "embedding"), read_ids(path)
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
