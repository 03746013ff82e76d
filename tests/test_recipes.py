"""Golden numbers of the expensive steps. If a change here is intended, bump the recipe."""

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import CONFIG

from cryotome import recipes
from cryotome.cards import load_card
from cryotome.demo import DOMAINS, draw_tissue
from cryotome.encoders import build_encoder
from cryotome.images import _Flat
from cryotome.patches import cut_patch

HINT = (
    "If the change of numbers is intended, bump {} in workflow/cryotome/recipes.py and this test."
)


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return draw_tissue(np.random.default_rng(0), DOMAINS["demo lung"], 200)[0]


def flat(pixels: np.ndarray) -> _Flat:
    image = _Flat.__new__(_Flat)
    image._pixels, image.size, image.mpp = pixels, pixels.shape[1::-1], 0.25
    return image


def test_demo(pixels):
    golden = {1: [173.35, 158.1, 205.26]}
    assert pixels.mean((0, 1)) == pytest.approx(golden[recipes.DEMO], abs=0.02), HINT.format("DEMO")


def test_patches(pixels):
    patch = cut_patch(flat(pixels), 20, 100, side=64, scale=1.3, border="reflect")
    golden = {1: [171.45, 156.1, 204.22]}
    assert patch.mean((0, 1)) == pytest.approx(golden[recipes.PATCHES], abs=0.02), HINT.format(
        "PATCHES"
    )


def test_embeddings(pixels):
    encoder, _ = build_encoder(load_card(CONFIG, "models", "resnet10t_random"), "r", Path())
    with torch.inference_mode():
        x = encoder(torch.from_numpy(pixels[:64, :64].copy()).permute(2, 0, 1)[None].float() / 255)
    found = [float(x.mean()), float(x.std()), float(x[0].max())]
    golden = {1: [0.0578394, 0.0792854, 0.399246]}
    assert found == pytest.approx(golden[recipes.EMBEDDINGS], rel=1e-3), HINT.format("EMBEDDINGS")


def test_endtoend():
    from test_endtoend import train

    found = train(steps=3, every=1)[1].history[0][1]
    golden = {1: 0.6559}
    assert found == pytest.approx(golden[recipes.ENDTOEND], rel=1e-2), HINT.format("ENDTOEND")
