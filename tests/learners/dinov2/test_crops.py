import numpy as np
import pytest
import torch
from conftest import CONFIG
from PIL import Image
from scipy.stats import ks_2samp
from torchvision.transforms import InterpolationMode, RandomResizedCrop
from torchvision.transforms.v2 import functional

from cryotome.core.cards import load_card
from cryotome.learners.dinov2.crops import (
    BOX,
    GREY,
    SOLARIZE,
    blur,
    cut_crops,
    draw_boxes,
    draw_crops,
    make_crops,
    resize_images,
    resize_matrix,
)
from cryotome.learners.loop.augment import FLIP, SIGMA

CROPS = load_card(CONFIG, "finetunings", "dinov2_s_nct")["crops"]
OFF = {
    "flip_probability": 0,
    "jitter_probability": 0,
    "grey_probability": 0,
    "solarize_probability": 0,
}
BICUBIC = InterpolationMode.BICUBIC


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def textures(count, side, seed=0):
    """Smooth and rough patterns: noise at four scales."""
    numbers, images = np.random.default_rng(seed), 0
    for scale in (2, 8, 16, side):
        noise = numbers.random((count, 3, scale, scale), dtype=np.float32)
        images = images + functional.resize(torch.from_numpy(noise), [side, side], BICUBIC)
    images = images - images.amin((1, 2, 3), keepdim=True)
    images = (255 * images / images.amax((1, 2, 3), keepdim=True)).byte()
    return images.permute(0, 2, 3, 1).contiguous()


@pytest.mark.parametrize("scale", [[0.32, 1.0], [0.05, 0.32]])
def test_boxes_are_drawn_as_torchvision_draws_them(scale):
    ours = draw_boxes(3000, 224, scale, CROPS["ratio"], rng())
    with torch.random.fork_rng():
        torch.manual_seed(1)
        image = torch.empty(3, 224, 224)
        theirs = [RandomResizedCrop.get_params(image, scale, CROPS["ratio"]) for _ in range(3000)]
    for column, values in zip(ours.T.numpy(), np.array(theirs).T, strict=True):
        assert ks_2samp(column, values).pvalue > 0.001
    assert (ours[:, :2] >= 0).all()
    assert ((ours[:, :2] + ours[:, 2:]) <= 224).all()


def test_a_box_that_never_fits_is_the_whole_image():
    assert draw_boxes(2, 50, [2.0, 2.0], [1.0, 1.0], rng()).tolist() == [[0, 0, 50, 50]] * 2


@pytest.mark.parametrize(
    ("stored", "side"), [(224, 98), (224, 224), (64, 28), (256, 98), (512, 98)]
)
def test_a_crop_equals_the_antialiased_one_of_torchvision(stored, side):
    """The measure of training.md for a grid sample without antialias is 0.0025."""
    images = textures(6, stored)
    settings = CROPS | OFF | {"local": {"side": side, "scale": [0.05, 1.0]}}
    draws = draw_crops(6, stored, settings | {"local_count": 1}, rng(3))[2]
    rows = images.permute(0, 1, 3, 2).float() / 255
    ours = cut_crops(rows, draws, side)
    for image, draw, crop in zip(images, draws, ours, strict=True):
        box = [int(value) for value in draw[BOX]]
        real = functional.resized_crop(
            image.permute(2, 0, 1).float() / 255, *box, [side, side], BICUBIC, antialias=True
        )
        assert (crop - real.clamp(0, 1)).abs().max() < 1e-4


def test_a_crop_is_pillows_within_its_rounding():
    image = textures(1, 224)
    draws = torch.ones(1, 20)
    draws[:, BOX] = torch.tensor([10.0, 20, 150, 130])
    ours = cut_crops(image.permute(0, 1, 3, 2).float() / 255, draws, 98)[0]
    cut = Image.fromarray(image[0].numpy()).crop((20, 10, 150, 160)).resize((98, 98), Image.BICUBIC)
    real = torch.from_numpy(np.array(cut)).permute(2, 0, 1) / 255
    assert (ours - real).abs().max() < 2.1 / 255
    assert (ours - real).abs().mean() < 0.5 / 255


def test_flips_turn_the_crop_round():
    image = textures(1, 64).permute(0, 1, 3, 2).float() / 255
    draws = torch.ones(1, 20)
    draws[:, BOX] = torch.tensor([3.0, 5, 40, 50])
    plain = cut_crops(image, draws, 28)
    draws[:, FLIP] = torch.tensor([-1.0, 1])
    assert torch.allclose(cut_crops(image, draws, 28), plain.flip(3), atol=1e-5)
    draws[:, FLIP] = torch.tensor([1.0, -1])
    assert torch.allclose(cut_crops(image, draws, 28), plain.flip(2), atol=1e-5)


def test_nothing_beyond_the_box_is_seen():
    one = torch.ones(1)
    weight = resize_matrix(10 * one, 20 * one, one, stored=64, side=8)
    assert weight.sum(-1) == pytest.approx(1)
    assert not weight[..., :10].any()
    assert not weight[..., 30:].any()


@pytest.mark.parametrize(
    ("blur", "shares"), [("as_released", [0, 0.9, 0.5]), ("as_published", [1, 0.1, 0.5])]
)
def test_shares_are_those_of_the_card(blur, shares):
    drawn = draw_crops(4000, 224, CROPS | {"blur": blur}, rng())
    assert drawn.shape == (10, 4000, 20)
    blurred = (drawn[..., SIGMA] > 0).float().mean(1)
    assert blurred[:3].tolist() == pytest.approx(shares, abs=0.03)
    assert blurred[3:].tolist() == pytest.approx([0.5] * 7, abs=0.03)
    assert drawn[..., GREY].mean(1).tolist() == pytest.approx([0.2] * 10, abs=0.03)
    assert drawn[..., SOLARIZE].mean(1).tolist() == pytest.approx([0, 0.2] + [0] * 8, abs=0.03)
    assert (drawn[..., FLIP] < 0).float().mean((0, 1)).tolist() == pytest.approx(
        [0.5, 0.5], abs=0.01
    )
    area = drawn[..., 16] * drawn[..., 17] / 224**2
    assert 0.31 < area[:2].min() < area[:2].max() <= 1
    assert 0.045 < area[2:].min() < area[2:].max() < 0.33


def test_equal_generators_give_equal_crops_and_others_do_not():
    drawn = [draw_crops(4, 64, CROPS, rng(seed)) for seed in (1, 1, 2)]
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_every_image_has_draws_of_its_own():
    drawn = draw_crops(64, 224, CROPS, rng())
    assert len(drawn[..., BOX].flatten(0, 1).unique(dim=0)) > 630


def test_views_come_crop_by_crop_in_the_sizes_of_the_card():
    images = textures(3, 64)
    settings = CROPS | OFF | {"local_count": 2, "blur": "as_released", "ratio": [1, 1]}
    settings |= {
        "global": {"side": 56, "scale": [1, 1]},
        "local": {"side": 28, "scale": [0.2, 0.2]},
    }
    whole, local = make_crops(images, draw_crops(3, 64, settings, rng()), settings)
    assert whole.shape == (6, 3, 56, 56)
    assert local.shape == (6, 3, 28, 28)
    assert torch.allclose(
        whole[:3], resize_images(images, 56), atol=1e-5
    )  # the first is never blurred


def test_grey_and_solarized_views_are_that():
    images = textures(2, 64)
    settings = (
        CROPS
        | OFF
        | {
            "local_count": 1,
            "grey_probability": 1,
            "solarize_probability": 1,
            "blur": "as_released",
        }
    )
    settings |= {
        "global": {"side": 56, "scale": [1, 1]},
        "ratio": [1, 1],
        "blur_sigma": [1e-4, 1e-4],
    }
    whole, _ = make_crops(images, draw_crops(2, 64, settings, rng()), settings)
    assert torch.equal(whole[:, 0], whole[:, 2])
    first, second = whole.chunk(2)
    inverted = torch.where(first >= 128 / 255, 1 - first, first)
    assert torch.allclose(second, inverted, atol=1e-5)


def test_the_blur_is_torchvisions():
    images = textures(3, 42).permute(0, 3, 1, 2).float() / 255
    ours = blur(images.clone(), torch.tensor([1.3, 0.0, 0.2]))
    for at, sigma in ((0, 1.3), (2, 0.2)):
        real = functional.gaussian_blur(images[at], [9, 9], [sigma, sigma])
        assert torch.allclose(ours[at], real, atol=1e-5)
    assert torch.equal(ours[1], images[1])


def test_no_crop_of_the_reproduction_is_enlarged():
    """Tiles of 512 px give crops of 250 px and more; of 256 px, four global ones in five are small."""
    crops = load_card(CONFIG, "finetunings", "dinov2_s_tcga")["crops"]
    stored = load_card(CONFIG, "datasets", "tcga_crc")["tiles"]["finetune"]["jpeg_side"]
    enlarged = {}
    for side in (stored, 256):
        for kind in ("global", "local"):
            boxes = draw_boxes(20_000, side, crops[kind]["scale"], crops["ratio"], rng(0))
            smaller = boxes[:, 2] * boxes[:, 3] < crops[kind]["side"] ** 2
            enlarged[side, kind] = smaller.float().mean().item()
    assert stored == 512
    assert enlarged[512, "global"] == enlarged[512, "local"] == 0
    assert enlarged[256, "global"] == pytest.approx(0.81, abs=0.01)
