import pytest
import torch
from conftest import CONFIG
from torchvision.transforms import v2

from cryotome.augment import augment, blur, jitter_colour, place_windows
from cryotome.cards import load_card

OFF = {"jitter_share": 0, "blur_share": 0, "flip_share": 0, "rotation_share": 0, "shift": 0}


def settings(**changes):
    return load_card(CONFIG, "heads", "e2e")["augment"] | OFF | changes


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def batch():
    return torch.rand(8, 3, 50, 50, generator=rng(1))


def test_with_everything_off_the_centre_comes_out_untouched(batch):
    views = augment(batch, 40, settings(), rng())
    assert torch.allclose(views, batch[..., 5:45, 5:45], atol=1e-5)


def test_flips_are_exact(batch):
    views = place_windows(batch, 40, settings(flip_share=1), rng())
    assert torch.allclose(views, batch[..., 5:45, 5:45].flip(2, 3), atol=1e-5)


def test_shifts_stay_within_a_tenth_and_are_whole_pixels(batch):
    views = place_windows(batch, 40, settings(shift=0.1), rng())
    found = set()
    for view, patch in zip(views, batch, strict=True):
        hits = [
            (dy, dx) for dy in range(11) for dx in range(11)
            if torch.allclose(view, patch[:, dy : dy + 40, dx : dx + 40], atol=1e-5)
        ]  # fmt: skip
        assert len(hits) == 1
        found.add(hits[0])
    assert len(found) > 4
    assert all(1 <= d <= 9 for hit in found for d in hit)


def test_turns_keep_the_centre_and_differ_from_patch_to_patch():
    disc = torch.zeros(8, 3, 50, 50)
    disc[..., 22:28, 22:28] = 1
    disc[..., 22:28, 36:42] = 0.5  # a mark to the right
    views = place_windows(disc, 40, settings(rotation_share=1), rng())
    assert (views[..., 19:21, 19:21] > 0.9).all()
    assert len({tuple(v[0].flatten().round(decimals=2).tolist()) for v in views}) == 8
    assert views.sum((1, 2, 3)) == pytest.approx(disc[..., 5:45, 5:45].sum((1, 2, 3)), rel=0.1)


def test_colour_jitter_stays_in_range_and_leaves_the_rest_alone(batch):
    views = jitter_colour(batch, settings(jitter_share=0.5), rng())
    changed = [(a - b).abs().max() > 1e-4 for a, b in zip(views, batch, strict=True)]
    assert 0 < sum(changed) < 8
    assert views.min() >= 0
    assert views.max() <= 1


@pytest.mark.parametrize(("place", "reach"), [(0, 0.3), (2, 0.5)])
def test_brightness_and_saturation_are_torchvisions(batch, place, reach):
    jitter = [0.0] * 4
    jitter[place] = reach
    views = jitter_colour(batch, settings(jitter_share=1, jitter=jitter), rng(3))
    functions = {0: v2.functional.adjust_brightness, 2: v2.functional.adjust_saturation}
    for view, patch in zip(views, batch, strict=True):
        near = min(
            (functions[place](patch, f) - view).abs().max()
            for f in torch.linspace(1 - reach, 1 + reach, 601)
        )
        assert near < 2e-3


def test_contrast_is_torchvisions_for_its_own_factor(batch):
    views = jitter_colour(batch, settings(jitter_share=1, jitter=[0, 0.5, 0, 0]), rng(3))
    for view, patch in zip(views, batch, strict=True):
        factors = torch.linspace(0.5, 1.5, 1001)
        near = min((v2.functional.adjust_contrast(patch, f) - view).abs().max() for f in factors)
        assert near < 2e-3


def test_hue_turns_colours_and_leaves_grey_and_luma_alone():
    grey = torch.full((4, 3, 8, 8), 0.5)
    pink = torch.tensor([0.6, 0.4, 0.5]).view(1, 3, 1, 1).expand(4, 3, 8, 8)
    on = settings(jitter_share=1, jitter=[0, 0, 0, 0.1])
    assert torch.allclose(jitter_colour(grey, on, rng(2)), grey, atol=1e-3)
    turned = jitter_colour(pink, on, rng(2))
    assert (turned - pink).abs().amax((1, 2, 3)).min() > 1e-3
    luma = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    assert torch.allclose((turned * luma).sum(1), (pink * luma).sum(1), atol=2e-3)


def test_blur_is_torchvisions_gaussian(batch):
    views = blur(batch, settings(blur_share=1, blur_sigma=[0.7, 0.7]), rng())
    assert torch.allclose(views, v2.functional.gaussian_blur(batch, [5, 5], [0.7, 0.7]), atol=1e-5)


def test_draws_repeat_with_their_seed(batch):
    on = load_card(CONFIG, "heads", "e2e")["augment"]
    assert torch.equal(augment(batch, 40, on, rng(7)), augment(batch, 40, on, rng(7)))
    assert not torch.equal(augment(batch, 40, on, rng(7)), augment(batch, 40, on, rng(8)))
