import numpy as np
import pytest
import torch
from conftest import CONFIG
from scipy.stats import ks_2samp
from torchvision.transforms import InterpolationMode, v2

from cryotome.core.cards import load_card
from cryotome.learners.endtoend.training_data import centre_crops
from cryotome.learners.loop.augment import (
    FLIP,
    JITTER,
    ORDER,
    SHIFT,
    SIGMA,
    TURN,
    blacken_corners,
    blur,
    draw_uniform,
    draws_of,
    jitter_colour,
    make_views,
    sample_windows,
    shift_hue,
)

WHOLE = load_card(CONFIG, "heads", "endtoend")["augment"]
OFF = {
    "jitter_probability": 0,
    "blur_probability": 0,
    "flip_probability": 0,
    "rotation_probability": 0,
    "shift": 0,
}


def settings(**changes):
    return WHOLE | OFF | changes


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def drawn(count, side, settings, seed=0):
    return draws_of(draw_uniform(count, rng(seed)), side, settings)


@pytest.fixture
def patches():
    return torch.randint(256, (8, 50, 50, 3), dtype=torch.uint8, generator=rng(1))


@pytest.fixture
def batch(patches):
    return patches.permute(0, 3, 1, 2).float() / 255


def test_with_everything_off_the_centre_comes_out_untouched(patches, batch):
    views = make_views(patches, drawn(8, 40, settings()), 40, settings())
    assert torch.allclose(views, batch[..., 5:45, 5:45], atol=1e-5)


def test_flips_are_exact(batch):
    on = settings(flip_probability=1)
    views = sample_windows(batch, drawn(8, 40, on), 40, on)
    assert torch.allclose(views, batch[..., 5:45, 5:45].flip(2, 3), atol=1e-5)


def test_shifts_stay_within_a_tenth_and_are_whole_pixels(batch):
    on = settings(shift=0.1)
    views = sample_windows(batch, drawn(8, 40, on), 40, on)
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
    on = settings(rotation_probability=1)
    views = sample_windows(disc, drawn(8, 40, on), 40, on)
    assert (views[..., 19:21, 19:21] > 0.9).all()
    assert len({tuple(v[0].flatten().round(decimals=2).tolist()) for v in views}) == 8
    assert views.sum((1, 2, 3)) == pytest.approx(disc[..., 5:45, 5:45].sum((1, 2, 3)), rel=0.1)


def test_a_turn_with_black_corners_is_torchvisions(batch):
    """The follow-up's turn: of the window alone, black beyond it, nearest pixel."""
    on = settings(rotation_probability=1, corners="black", interpolation="nearest")
    draws = drawn(8, 40, on, seed=2)
    views = blacken_corners(sample_windows(batch, draws, 40, on), draws)
    for view, patch, turn in zip(views, batch[..., 5:45, 5:45], draws[:, TURN], strict=True):
        # `place_windows` turns the window, torchvision the image
        theirs = v2.functional.rotate(patch, float(turn.rad2deg()), InterpolationMode.NEAREST)
        assert ((view - theirs).abs().amax(0) > 1e-4).float().mean() < 0.02  # ties of rounding
        assert (view == 0).all(0).float().mean() > 0.01


@pytest.mark.parametrize("place", range(4))
def test_each_jitter_is_torchvisions_for_its_factor(batch, place):
    jitter = [0.0] * 4
    jitter[place] = 0.4
    draws = drawn(8, 40, settings(jitter_probability=1, jitter=jitter), seed=3)
    functions = [
        v2.functional.adjust_brightness,
        v2.functional.adjust_contrast,
        v2.functional.adjust_saturation,
        v2.functional.adjust_hue,
    ]
    views = jitter_colour(batch.clone(), draws)
    for view, patch, factor in zip(views, batch, draws[:, JITTER][:, place], strict=True):
        assert (functions[place](patch, float(factor)) - view).abs().max() < 1e-4
        assert (patch - view).abs().max() > 1e-3


def test_the_order_of_the_jitters_is_drawn_for_each_patch(batch):
    draws = drawn(8, 40, settings(jitter_probability=1, jitter=[0.4, 0.4, 0.4, 0.2]), seed=4)
    views = jitter_colour(batch.clone(), draws)
    functions = [
        v2.functional.adjust_brightness,
        v2.functional.adjust_contrast,
        v2.functional.adjust_saturation,
        v2.functional.adjust_hue,
    ]
    orders = draws[:, ORDER].long().tolist()
    orders = [[*blends[:before], 3, *blends[before:]] for *blends, before in orders]
    assert len({tuple(order) for order in orders}) > 3
    for view, patch, order, factors in zip(views, batch, orders, draws[:, JITTER], strict=True):
        for kind in order:
            patch = functions[kind](patch, float(factors[kind]))
        assert (patch - view).abs().max() < 1e-3


def test_hue_leaves_grey_alone():
    grey = torch.full((4, 3, 8, 8), 0.5)
    assert torch.equal(shift_hue(grey, torch.full((4, 1, 1), 0.1)), grey)


def test_colour_jitter_leaves_the_others_alone(batch):
    views = jitter_colour(batch.clone(), drawn(8, 40, settings(jitter_probability=0.5)))
    changed = [not torch.equal(a, b) for a, b in zip(views, batch, strict=True)]
    assert 0 < sum(changed) < 8
    assert views.min() >= 0
    assert views.max() <= 1


def test_blur_is_torchvisions_gaussian(batch):
    draws = drawn(8, 40, settings(blur_probability=1, blur_sigma=[0.3, 1.2]))
    views = blur(batch.clone(), draws)
    for view, patch, sigma in zip(views, batch, draws[:, SIGMA], strict=True):
        theirs = v2.functional.gaussian_blur(patch, [5, 5], [float(sigma)] * 2)
        assert torch.allclose(view, theirs, atol=1e-5)


def test_leaving_out_what_changes_nothing_changes_nothing(batch, monkeypatch):
    """On a processor the untouched patches are skipped; a GPU changes all, these by nothing."""
    draws = drawn(8, 40, WHOLE, seed=5)
    skipped = blur(jitter_colour(batch.clone(), draws), draws)
    monkeypatch.setattr(
        "cryotome.learners.loop.augment._apply_where",
        lambda change, batch, draws, on: change(batch, draws),
    )
    assert torch.allclose(blur(jitter_colour(batch.clone(), draws), draws), skipped, atol=2e-6)


def test_draws_repeat_with_their_seed_and_come_in_blocks_as_one_by_one(patches):
    assert torch.equal(drawn(8, 40, WHOLE, seed=7), drawn(8, 40, WHOLE, seed=7))
    assert not torch.equal(drawn(8, 40, WHOLE, seed=7), drawn(8, 40, WHOLE, seed=8))
    uniform = torch.stack([draw_uniform(8, rng(seed)) for seed in range(3)])
    whole = draws_of(uniform, 40, WHOLE)
    assert torch.equal(whole[2], draws_of(uniform[2], 40, WHOLE))


def test_draws_have_the_shares_and_ranges_of_the_card():
    draws = drawn(40_000, 224, WHOLE)
    near = {"abs": 0.01}
    assert (draws[:, TURN] != 0).float().mean().item() == pytest.approx(0.5, **near)
    assert (draws[:, FLIP] < 0).float().mean(0).tolist() == pytest.approx([0.5, 0.5], **near)
    assert (draws[:, SIGMA] > 0).float().mean().item() == pytest.approx(0.1, **near)
    assert (draws[:, JITTER] != torch.tensor([1.0, 1, 1, 0])).float().mean(
        0
    ).tolist() == pytest.approx([0.5] * 4, **near)
    shifts = draws[:, SHIFT]
    assert sorted(set(shifts.flatten().tolist())) == list(range(-22, 23))
    turned = draws[draws[:, TURN] != 0, TURN]
    assert turned.abs().max() <= np.pi + 1e-6
    assert turned.mean().abs() < 0.05
    kinds = draws[:, [0, 1, 2, 3, 4, 5, 6, 7, 8, 13]].numpy().T
    assert np.abs(np.corrcoef(kinds) - np.eye(10)).max() < 0.03  # each independent of all others


def grey_of(views):
    return (views * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1)


def centroid(views, axis):
    """Where the dark mark lies, -1 to 1 along an axis."""
    dark = (0.7 - grey_of(views)).clamp(min=0)
    line = torch.linspace(-1, 1, dark.shape[-1])
    weighted = dark * (line if axis == 0 else line[:, None])
    return weighted.sum((1, 2)) / dark.sum((1, 2))


MEASURES = {
    "brightness": lambda views: views.mean((1, 2, 3)),
    "contrast": lambda views: grey_of(views).std((1, 2)),
    "saturation": lambda views: (views.amax(1) - views.amin(1)).mean((1, 2)),
    "hue": lambda views: (views[:, 1] - views[:, 2]).mean((1, 2)),
    "sharpness": lambda views: (grey_of(views).diff(dim=1)).abs().mean((1, 2)),
    "across": lambda views: centroid(views, 0),
    "along": lambda views: centroid(views, 1),
    "angle": lambda views: torch.atan2(centroid(views, 1), centroid(views, 0)),
    "corners": lambda views: grey_of(views)[:, [0, 0, -1, -1], [0, -1, 0, -1]].mean(1),
}


@pytest.fixture(scope="module")
def tissue():
    """A purple mark on textured pink, off centre, 30 px."""
    rows, columns = torch.meshgrid(torch.arange(30), torch.arange(30), indexing="ij")
    mark = ((rows - 11) ** 2 / 9 + (columns - 19) ** 2 / 25) < 1
    noise = torch.randint(-9, 10, (30, 30, 3), generator=rng(6))
    patch = torch.tensor([225, 170, 200]).expand(30, 30, 3).clone()
    patch[mark] = torch.tensor([90, 50, 130])
    return (patch + noise).clamp(0, 255).to(torch.uint8)


COUNT, SIDE = 1500, 24


def ours(tissue, on, measure, seed=11):
    draws = drawn(COUNT, SIDE, on, seed)
    views = make_views(tissue.expand(COUNT, -1, -1, -1), draws, SIDE, on)
    return MEASURES[measure](views).numpy().round(4)


def torchvisions(tissue, transform, measure, reach=0):
    torch.manual_seed(12)
    image, views = tissue.permute(2, 0, 1).float() / 255, []
    for dx, dy in torch.randint(-reach, reach + 1, (COUNT, 2)).tolist():
        views.append(transform(image[:, 3 + dy : 27 + dy, 3 + dx : 27 + dx]))
    return MEASURES[measure](torch.stack(views)).numpy().round(4)  # equal views are equal numbers


def jitter(place, reach):
    return [reach if place == at else 0.0 for at in range(4)]


def one(place, reach):
    return v2.ColorJitter(**{["brightness", "contrast", "saturation", "hue"][place]: reach})


NEAREST = {"corners": "black", "interpolation": "nearest"}
STILL = v2.Identity()
# what is measured, our settings, torchvision's transform, and settings that must be told apart
ALONE = [
    ("brightness", {"jitter_probability": 1, "jitter": jitter(0, 0.1)}, one(0, 0.1), {"jitter": jitter(0, 0.08)}),
    ("contrast", {"jitter_probability": 1, "jitter": jitter(1, 0.1)}, one(1, 0.1), {"jitter": jitter(1, 0.08)}),
    ("saturation", {"jitter_probability": 1, "jitter": jitter(2, 0.1)}, one(2, 0.1), {"jitter": jitter(2, 0.08)}),
    ("hue", {"jitter_probability": 1, "jitter": jitter(3, 0.1)}, one(3, 0.1), {"jitter": jitter(3, 0.08)}),
    ("contrast", {"jitter_probability": 0.5, "jitter": jitter(1, 0.1)}, v2.RandomApply([one(1, 0.1)], 0.5), {"jitter_probability": 0.35}),
    ("sharpness", {"blur_probability": 1}, v2.GaussianBlur(5, (0.1, 1.0)), {"blur_sigma": [0.3, 1.0]}),
    ("sharpness", {"blur_probability": 0.1}, v2.RandomApply([v2.GaussianBlur(5, (0.1, 1.0))], 0.1), {"blur_probability": 0.25}),
    ("across", {"flip_probability": 0.5}, v2.RandomHorizontalFlip(0.5), {"flip_probability": 0.4}),
    ("along", {"flip_probability": 0.5}, v2.RandomVerticalFlip(0.5), {"flip_probability": 0.4}),
    ("across", {"shift": 0.1}, STILL, {"shift": 0.05}),
    ("along", {"shift": 0.1}, STILL, {"shift": 0.05}),
    ("angle", {"rotation_probability": 1} | NEAREST, v2.RandomRotation(180), {"rotation_probability": 0.8}),
    ("corners", {"rotation_probability": 0.5} | NEAREST, v2.RandomApply([v2.RandomRotation(180)], 0.5), {"rotation_probability": 0.4}),
    ("corners", {"rotation_probability": 0.5} | NEAREST, v2.RandomApply([v2.RandomRotation(180)], 0.5), {"corners": "reflected"}),
]  # fmt: skip


@pytest.mark.parametrize(("measure", "on", "transform", "wrong"), ALONE)
def test_each_transform_is_distributed_as_torchvisions(tissue, measure, on, transform, wrong):
    """And 1,500 views tell it from one that is a little off."""
    theirs = torchvisions(tissue, transform, measure, reach=2 if "shift" in on else 0)
    assert ks_2samp(ours(tissue, settings(**on), measure), theirs).pvalue > 0.005
    assert ks_2samp(ours(tissue, settings(**(on | wrong)), measure), theirs).pvalue < 0.005


@pytest.mark.parametrize("measure", MEASURES)
def test_views_are_distributed_as_torchvisions(tissue, measure):
    """All transforms at once, as the follow-up composes them."""
    theirs = v2.Compose(
        [
            v2.RandomHorizontalFlip(0.5),
            v2.RandomVerticalFlip(0.5),
            v2.RandomApply([v2.ColorJitter(0.1, 0.1, 0.1, 0.1)], 0.5),
            v2.RandomApply([v2.GaussianBlur(5, (0.1, 1.0))], 0.1),
            v2.RandomApply([v2.RandomRotation(180)], 0.5),
        ]
    )
    values = torchvisions(tissue, theirs, measure, reach=2)
    assert ks_2samp(ours(tissue, WHOLE | NEAREST, measure), values).pvalue > 0.005


def test_reflected_corners_change_the_corners_alone(tissue):
    """The default: the inscribed disc of each view is that of the follow-up's, but for interpolation."""
    on = settings(rotation_probability=1)
    draws = drawn(200, SIDE, on, seed=3)
    patches = tissue.expand(200, -1, -1, -1)
    smooth, hard = (
        make_views(patches, draws, SIDE, on | more) for more in ({}, {"corners": "black"})
    )
    line = torch.arange(SIDE) - (SIDE - 1) / 2
    disc = line[:, None] ** 2 + line**2 < (SIDE / 2) ** 2
    assert torch.equal(smooth[..., disc], hard[..., disc])
    assert (hard[..., ~disc] == 0).float().mean() > 0.2
    assert smooth.min() > 0.1  # nothing black comes in


@pytest.mark.parametrize("side", [34, 35])
def test_an_odd_side_sees_whole_pixels_too(side):
    patches = torch.randint(256, (4, 44, 44, 3), dtype=torch.uint8, generator=rng(2))
    views = make_views(patches, drawn(4, side, settings()), side, settings())
    assert torch.allclose(views, centre_crops(patches, side), atol=1e-4)
