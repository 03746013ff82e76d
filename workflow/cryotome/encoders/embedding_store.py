"""Embedding stores: embeddings of all patches with their provenance, written whole or in shards."""

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
from cryotome.encoders.embedders import Embedder, ModelView
from cryotome.runtime import ledger
from cryotome.runtime.resume import ResumableStore, resumable_store

VERSIONED = ("torch", "timm", "torchvision", "transformers")  # libraries in the provenance
PATCHES_PER_READ = 512  # one read


def write_embeddings(
    store: Path,
    patch_store: Path,
    embedder: Embedder,
    *,
    partial: Path,
    shards: Path | None = None,
    rows: range | None = None,
) -> None:
    """Embed every patch of a store once.

    The file holds `embedding` (n, dim) float32 and `id` (n,), and as attributes its provenance:
    model, view, card, weights, patch store, step version, library versions, and `batch`, the
    number of patches that were computed at once (`256,512` where it changed on the way).

    Parameters
    ----------
    partial
        Folder of partial work: rows that a killed job finished are not embedded again.
    shards
        Folder of finished shards, which are merged and removed; may be absent.
    rows
        Rows of the patch store; None: all.

    Raises
    ------
    StoreError
        The patch store is none, or an embedding is not finite or not of the card's dimension.
    EncoderError
        The network embeds a patch otherwise alone than among others.
    """
    about, ids = _provenance_of(patch_store, embedder), read_ids(patch_store)
    rows = range(len(ids)) if rows is None else rows
    ids = ids[rows.start : rows.stop]
    passport = about | {"device": embedder.device}
    shape = (len(ids), embedder.model.card["dim"])
    with resumable_store(
        partial, "embedding", shape=shape, dtype="f4", ids=ids, passport=passport
    ) as grown:
        merged = _merge_shards(shards, about, ids, grown.put) if shards else []
        _embed_missing(grown, patch_store, embedder, ids, first_row=rows.start)
        grown.finish(store, about | batch_of(grown))
    for shard in merged:
        shard.unlink()


def _embed_missing(
    grown: ResumableStore, patch_store: Path, embedder: Embedder, ids: np.ndarray, *, first_row: int
) -> None:
    """Embed the rows that a store in progress does not hold, from a first row of the patches."""
    bar = tqdm(total=len(ids), desc=f"embed {embedder.model.name}", unit="patch", mininterval=5)

    def keep(first: int, part: np.ndarray) -> None:
        first -= first_row
        check_embedding(part, ids[first : first + len(part)], embedder.model)
        grown.put(first, part, str(embedder.batch))
        bar.update(len(part))

    with bar:
        bar.update(grown.finished)
        missing = [(first_row + first, count) for first, count in grown.missing(PATCHES_PER_READ)]
        start, count = perf_counter(), sum(count for _, count in missing)
        embedder.run(patch_store, missing, keep, count=count)
        ledger.report_throughput(patches=count, seconds=perf_counter() - start)


def batch_of(grown: ResumableStore) -> dict[str, str]:
    """Return the attribute of a finished store that names the sizes of its batches."""
    sizes = {int(size) for stamp in grown.stamps for size in stamp.split(",") if size}
    return {"batch": ",".join(map(str, sorted(sizes)))}


def _provenance_of(patch_store: Path, embedder: Embedder) -> dict[str, Any]:
    source, model = provenance(patch_store, PATCHES), embedder.model
    return {
        "format": EMBEDDINGS,
        "version": VERSION,
        "recipe": step_versions.EMBEDDINGS,
        "model": model.name,
        "view": model.view,
        "card": json.dumps(model.card, sort_keys=True),
        "weights_sha256": embedder.weights_sha256,
        "patches_sha256": source["patches_sha256"],
        "cells_sha256": source["cells_sha256"],
        "mpp": source.get("mpp", "null"),  # stores of older patches have none
        "versions": json.dumps({name: version(name) for name in VERSIONED}),
    }


def write_shard(
    shard: Path, patch_store: Path, embedder: Embedder, *, part: tuple[int, int], partial: Path
) -> None:
    """Embed one part of a store's rows, for `write_embeddings` to merge.

    Parameters
    ----------
    part
        Which one of how many, counted from one.

    Raises as `write_embeddings`.
    """
    rows = rows_of_shard(part, len(read_ids(patch_store)), embedder.step)
    write_embeddings(shard, patch_store, embedder, partial=partial, rows=rows)


def rows_of_shard(part: tuple[int, int], count: int, step: int) -> range:
    """Return the rows of the k-th of n shards, which begin at multiples of a step."""
    k, n = part
    if count < n:
        raise StoreError(f"{count} patches make no {n} shards; ask for fewer, `shards: {count}`.")
    step = max(1, min(step, count // n))
    ends = [count * i // n // step * step for i in (k - 1, k)]
    return range(ends[0], count if k == n else ends[1])


def _merge_shards(
    folder: Path,
    about: dict[str, Any],
    ids: np.ndarray,
    put: Callable[[int, np.ndarray, str], None],
) -> list[Path]:
    """Copy the rows of finished shards into their store; return the shards."""
    merged = []
    for shard in sorted(folder.glob("*.h5")):
        found = provenance(shard, EMBEDDINGS)
        other = [name for name, value in about.items() if found.get(name) != value]
        if other:
            print(f"{shard} is not used: it has another {', '.join(other)}.", file=sys.stderr)
            continue
        mine, part = read_ids(shard), read_rows(shard, "embedding")
        first = int(np.argmax(ids == mine[0]))
        if not np.array_equal(ids[first : first + len(mine)], mine):
            raise StoreError(f"{shard} holds other cells than its store. Delete it and rerun.")
        put(first, part, found.get("batch", ""))
        merged.append(shard)
        print(f"{shard} is taken over.", file=sys.stderr)
    return merged


def check_embedding(part: np.ndarray, ids: np.ndarray, model: ModelView) -> None:
    """Check the embeddings (n, dim) of some ids (n,).

    Raises
    ------
    StoreError
        An embedding is not finite, or not of the card's dimension.
    """
    if part.shape[1] != model.card["dim"]:
        raise StoreError(
            f"{model.name} gives {part.shape[1]} features, its card says `dim: "
            f"{model.card['dim']}`. Correct config/models/{model.name}.yaml."
        )
    wrong = ~np.isfinite(part).all(axis=1)
    if wrong.any():
        raise StoreError(
            f"{model.name} gives NaN or infinite features for {wrong.sum()} of {len(part)} "
            f"patches, first of cell {ids[wrong][0]}. fp16 overflows in some networks: try a view "
            "`...-bf16` or `...-fp32`; else the weights are broken."
        )


def read_embeddings(
    path: Path, *, model: str, view: str, cells_sha256: str
) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Read an embedding store after checking its provenance and its content.

    Returns
    -------
    embedding : (n, dim) float32
    ids : (n,) int
    provenance

    Raises
    ------
    StoreError
        The store is of another model, view or table of cells, or its embeddings are not finite,
        not of the dimension of its card, or not one per id.
    """
    found = provenance(path, EMBEDDINGS)
    require_provenance(path, found, {"model": model, "view": view, "cells_sha256": cells_sha256})
    embedding, ids = read_rows(path, "embedding"), read_ids(path)
    _check_content(path, embedding, ids, json.loads(found["card"]))
    return embedding, ids, found


def require_provenance(path: Path, found: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Refuse a store whose provenance has another value of a field.

    Raises
    ------
    StoreError
        A field differs.
    """
    for name, value in wanted.items():
        if found.get(name) != value:
            raise StoreError(
                f"{path} was made for {name} {found.get(name)}, but {value} is asked "
                "for. Delete it and rerun."
            )


def _check_content(path: Path, embedding: np.ndarray, ids: np.ndarray, card: Card) -> None:
    expected = (len(ids), card["dim"])
    if embedding.shape != expected:
        raise StoreError(
            f"{path} holds embeddings of shape {embedding.shape}, where its ids and its card say "
            f"{expected}. Delete it and rerun."
        )
    wrong = ~np.isfinite(embedding).all(axis=1)
    if wrong.any():
        raise StoreError(
            f"{path} holds NaN or infinite embeddings for {wrong.sum()} cells, first "
            f"{ids[wrong][0]}. Delete it and rerun."
        )
