import h5py
import numpy as np
import pytest
from conftest import CONFIG

from cryotome.cards import load_card
from cryotome.colours import colour_histogram
from cryotome.embedders import make_embedder


def test_the_histogram_embeds_what_the_network_would_see_without_torch(store):
    card = load_card(CONFIG, "models", "colour_histogram")
    embedder = make_embedder(card, "colour_histogram", side=32)
    got: dict[int, np.ndarray] = {}
    embedder.run(store, [(0, 20), (20, 28)], lambda first, x: got.update({first: x}), count=48)
    with h5py.File(store) as file:
        there = colour_histogram(file["patch"][:, 4:36, 4:36], bins=16)
    assert np.concatenate([got[0], got[20]]) == pytest.approx(there)
    assert (embedder.weights_sha256, embedder.device) == ("none", "cpu")
