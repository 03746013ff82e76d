import numpy as np
import pytest
import torch
from conftest import CONFIG
from PIL import Image
from torchvision import transforms as reference

from cryotome.core.cards import load_card
from cryotome.encoders.transforms import transform_patches
from cryotome.study.geometry import Geometry, geometry_of


@pytest.fixture(scope="module")
def patch() -> np.ndarray:
    smooth = np.random.default_rng(0).integers(0, 255, (28, 28, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(smooth).resize((224, 224), Image.Resampling.BICUBIC))


def tensor(patch: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(patch.copy()).permute(2, 0, 1)[None]


def test_policy_paper_of_ganz2024_changes_no_pixel(patch):
    geometry = geometry_of(load_card(CONFIG, "models", "gigapath"), "paper-fp16", 224)
    assert geometry == Geometry(224, "paper")
    assert torch.equal(transform_patches(tensor(patch), geometry) * 255, tensor(patch).float())


@pytest.mark.parametrize("name", ["gigapath", "lunit_vits8", "retccl", "kaiko_vits16", "phikon"])
def test_the_authors_transform_is_that_of_torchvision_on_an_image(name, patch):
    """Both round to grey levels after each of two passes: at most two levels apart, mostly none."""
    card = load_card(CONFIG, "models", name)
    entry = card["transform"]["card"]
    mode = reference.InterpolationMode(entry["interpolation"])
    steps = [reference.Resize(entry["resize"], mode)]
    steps += [reference.CenterCrop(entry["crop"])] if entry["crop"] else []
    theirs = reference.Compose([*steps, reference.ToTensor()])(Image.fromarray(patch))
    geometry = geometry_of(card, "card-fp32", 224)
    mine = transform_patches(tensor(patch), geometry)[0]
    assert mine.shape == theirs.shape
    apart = (mine - theirs).abs() * 255
    assert apart.max() <= 2.01
    assert apart.mean() < 0.05
    assert mine.shape[1] == geometry.seen


def test_the_second_division_of_paper_002s_code_leaves_almost_nothing(patch):
    card = load_card(CONFIG, "models", "data2vec_vit_b")
    x = (transform_patches(tensor(patch), geometry_of(card, "paper-fp32", 224)) - 0.5) / 0.5
    assert x.min() >= -1.0
    assert x.max() <= -0.992
