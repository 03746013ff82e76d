from pathlib import Path

import h5py
import numpy as np
import pytest
from conftest import CONFIG

from cryotome.core.cards import load_card
from cryotome.core.errors import CardError, StoreError
from cryotome.data.cells import load_cells
from cryotome.encoders.colour_histogram import colour_histogram
from cryotome.encoders.embedders import (
    ComputeSettings,
    ModelView,
    embedder_of_store,
    make_embedder,
)
from cryotome.encoders.embedding_store import write_embeddings, write_shard
from cryotome.study.geometry import Geometry

ANYWHERE = ComputeSettings(Path("nowhere"), "cpu", 1, Path("nowhere"))


def test_the_histogram_embeds_what_the_network_would_see_without_torch(store):
    card = load_card(CONFIG, "models", "colour_histogram")
    model = ModelView("colour_histogram", card, "paper-fp32")
    embedder = make_embedder(model, Geometry(32), ANYWHERE)
    got: dict[int, np.ndarray] = {}
    embedder.run(store, [(0, 20), (20, 28)], lambda first, x: got.update({first: x}), count=48)
    with h5py.File(store) as file:
        there = colour_histogram(file["patch"][:, 4:36, 4:36], bins=16)
    assert np.concatenate([got[0], got[20]]) == pytest.approx(there)
    assert (embedder.weights_sha256, embedder.device) == ("none", "cpu")


ALONE = "slide_identity"


def alone(store, cells=None):
    model = ModelView(ALONE, load_card(CONFIG, "models", ALONE), "paper-fp32")
    return embedder_of_store(store, model, ANYWHERE, cells=cells)


def test_the_slide_alone_is_its_place_among_the_sorted_slides(store, cohort, tmp_path):
    table = load_cells(cohort / "cells.csv")
    embedder, how = alone(store, [cohort / "cells.csv"]), {"partial": tmp_path / "p"}
    write_shard(tmp_path / "shards" / "1of2.h5", store, embedder, part=(1, 2), **how)
    write_embeddings(tmp_path / "e.h5", store, embedder, shards=tmp_path / "shards", **how)
    with h5py.File(tmp_path / "e.h5") as file:
        x, ids = file["embedding"][:], file["id"][:]
    assert (x.shape, x.dtype) == ((48, 1), np.float32)
    slides = sorted(table["slide"].unique())
    of = table.set_index("id")["slide"]
    assert [slides[int(v)] for v in x[:, 0]] == of[ids].tolist()
    assert len(set(x[:, 0])) == len(slides) > 1


def test_the_slide_alone_asks_for_the_cells_that_were_cut(store, cohort, tmp_path):
    with pytest.raises(CardError, match="slide_identity embeds the slide .* needs the table"):
        alone(store)
    other = tmp_path / "cells.csv"
    other.write_text((cohort / "cells.csv").read_text(encoding="utf-8") + "\n", encoding="utf-8")
    with pytest.raises(StoreError, match="was cut from another"):
        write_embeddings(tmp_path / "e.h5", store, alone(store, [other]), partial=tmp_path / "p")
    with pytest.raises(CardError, match="reads no patches"):
        alone(store, [other]).embed(np.zeros((1, 32, 32, 3), np.uint8))
