import numpy as np
import pytest
import torch
from conftest import CONFIG
from PIL import Image
from torchvision import transforms as reference

from cryotome.core.cards import load_card
from cryotome.encoders.transforms import transform_patches
from cryotome.study.geometry import geometry_of, side_after


@pytest.fixture(scope="module")
def patch() -> np.ndarray:
    smooth = np.random.default_rng(0).integers(0, 255, (28, 28, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(smooth).resize((224, 224), Image.Resampling.BICUBIC))


def tensor(patch: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(patch.copy()).permute(2, 0, 1)[None]


def test_policy_paper_of_paper_001_changes_no_pixel(patch):
    card = load_card(CONFIG, "models", "gigapath")
    assert geometry_of(card, "paper-fp16") is None
    assert torch.equal(transform_patches(tensor(patch), None) * 255, tensor(patch).float())


def test_policies_differ_where_paper_and_authors_do():
    dinov2 = load_card(CONFIG, "models", "dinov2_vits14")
    assert side_after(geometry_of(dinov2, "paper-fp32"), 256) == 252
    assert side_after(geometry_of(dinov2, "card-fp32"), 256) == 224
    assert geometry_of(dinov2, "patches") is None


@pytest.mark.parametrize("name", ["gigapath", "lunit_vits8", "retccl", "kaiko_vits16", "phikon"])
def test_the_authors_transform_is_that_of_torchvision_on_an_image(name, patch):
    """Both round to grey levels after each of two passes: at most two levels apart, mostly none."""
    geometry = load_card(CONFIG, "models", name)["transform"]["card"]
    mode = reference.InterpolationMode(geometry["interpolation"])
    steps = [reference.Resize(geometry["resize"], mode)]
    steps += [reference.CenterCrop(geometry["crop"])] if geometry["crop"] else []
    theirs = reference.Compose([*steps, reference.ToTensor()])(Image.fromarray(patch))
    mine = transform_patches(tensor(patch), geometry)[0]
    assert mine.shape == theirs.shape
    apart = (mine - theirs).abs() * 255
    assert apart.max() <= 2.01
    assert apart.mean() < 0.05
    assert mine.shape[1] == side_after(geometry, 224)


def test_the_second_division_of_paper_002s_code_leaves_almost_nothing(patch):
    card = load_card(CONFIG, "models", "data2vec_vit_b")
    x = (transform_patches(tensor(patch), geometry_of(card, "paper-fp32")) - 0.5) / 0.5
    assert x.min() >= -1.0
    assert x.max() <= -0.992
