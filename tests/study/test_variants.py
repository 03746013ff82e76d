"""Crops and poolings without cards of their own."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from conftest import CONFIG, cut
from tests.study.test_study import study

from cryotome.core.cards import load_card, without_notes
from cryotome.core.errors import CardError
from cryotome.data.cells import read_cells
from cryotome.data.patches import patch_view
from cryotome.encoders.encoder import Encoder
from cryotome.encoders.network import build_network, on_meta
from cryotome.encoders.pooling import pool_tokens
from cryotome.encoders.transforms import transform_patches
from cryotome.encoders.weights import candidate_paths
from cryotome.study.checks import checked_study
from cryotome.study.gather_facts import context_facts, row_facts
from cryotome.study.geometry import geometry_of, input_side
from cryotome.study.variants import pooling_variants, returns_tokens, with_pooling


def test_a_crop_is_the_card_that_one_would_write(tmp_path):
    shutil.copytree(CONFIG, tmp_path / "config")
    written = {"extends": "midog2022", "title": "MIDOG 2022, 64 px", "patch": {"side": 64}}
    (tmp_path / "config/datasets/by_hand.yaml").write_text(yaml.dump(written), encoding="utf-8")
    ours = checked_study(study("demo").config, tmp_path / "config")
    assert ours.dataset("midog2022_64px") == ours.dataset("by_hand")
    assert ours.split_source("midog2022_64px") == ours.split_source("midog2022") == "midog2022"


def test_a_card_of_a_crops_name_wins_and_is_a_dataset_of_its_own(tmp_path):
    shutil.copytree(CONFIG, tmp_path / "config")
    written = {"extends": "midog2022", "title": "mine", "patch": {"side": 66}}
    (tmp_path / "config/datasets/midog2022_64px.yaml").write_text(
        yaml.dump(written), encoding="utf-8"
    )
    ours = checked_study(study("demo").config, tmp_path / "config")
    assert ours.dataset("midog2022_64px")["patch"]["side"] == 66
    assert ours.split_source("midog2022_64px") == "midog2022_64px"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("midog2022_224px", "its own patches have 224 px. Name it without `_224px`"),
        ("midog2022_14px", "midog2022_14px, patch.side: 14 is less than the minimum of 16"),
        ("midog2022_65px", "midog2022_65px, patch.side: 65 is not a multiple of 2"),
        ("midog_64px", r"datasets/midog.yaml does not exist"),
        ("tcga_crc_64px", "'tcga_crc_64px': it has no patches"),
    ],
)
def test_a_crop_that_cannot_be_is_refused(name, said):
    with pytest.raises(CardError, match=said):
        study("demo").dataset(name)


def test_a_pooling_changes_what_becomes_of_the_tokens_and_nothing_else():
    ours = study("demo")
    mean, both = (ours.model(f"uni_pool_{how}") for how in ("mean", "class_mean"))
    assert (mean["pooling"], mean["dim"], both["dim"]) == ("mean", 1024, 2048)
    assert mean["title"] == "UNI, mean of tokens"
    changed = {"title", "pooling", "dim", "arguments"}
    uni = ours.model("uni")
    assert {k for k in uni if uni[k] != mean[k]} == {"title", "pooling", "arguments"}
    assert {k for k in uni if uni[k] != both[k]} == changed
    assert ours.model("virchow2_pool_class")["dim"] == 1280
    by_hand = load_card(CONFIG, "models", "virchow2_class")
    prose = {"title": "", "notes": "", "style": []}
    assert ours.model("virchow2_pool_class") | prose == by_hand | prose


def test_a_checkpoint_on_the_way_can_be_pooled_otherwise():
    card = study("demo").model("dinov2_tiny_demo_at_8_pool_mean")
    assert card["pooling"] == "mean"
    assert card["weights"]["iteration"] == 8


@pytest.mark.parametrize("name", ["uni_pool_class", "resnet50_imagenet_pool_mean"])
def test_a_pooling_that_changes_nothing_or_cannot_be_is_refused(name):
    with pytest.raises(CardError, match=r"its card says `pooling: (class|built_in)`, which stays"):
        study("demo").model(name)


def test_the_weights_of_a_pooling_are_those_of_its_model():
    card = study("demo").model("uni_pool_mean")
    mine, shared = candidate_paths(card, "uni_pool_mean", Path("w"))
    assert mine == Path("w/uni/pytorch_model.bin")
    assert shared == Path("w/MahmoodLab/UNI/pytorch_model.bin")


def of_tokens() -> list[str]:
    """One card of each architecture that returns tokens."""
    kinds = {}
    for path in sorted((CONFIG / "models").glob("*.yaml")):
        card = load_card(CONFIG, "models", path.stem)
        if returns_tokens(card):
            kinds.setdefault((card["loader"], card["architecture"]), path.stem)
    return list(kinds.values())


@pytest.mark.parametrize("name", of_tokens())
def test_every_pooling_of_every_architecture_gives_what_its_card_says(name, monkeypatch):
    monkeypatch.setattr("cryotome.encoders.encoder.pool_tokens", lambda output, **_: output)
    card = load_card(CONFIG, "models", name)
    side, hows = input_side(card), ["class", "mean", "class+mean", "class+rest", "centre"]
    cards = {how: with_pooling(card, how, name) for how in hows if how != card["pooling"]}
    assert len({without_notes(one, "architecture", "arguments") for one in cards.values()}) == 1
    one = next(iter(cards.values()))
    with torch.inference_mode():  # what timm keeps may be made in one
        with on_meta():
            encoder = Encoder(build_network(one, side), one).eval()
        # not on `meta` by default: what transformers keeps, all later networks would get
        tokens = encoder(torch.zeros(1, 3, side, side, device="meta"))
    for how, one in cards.items():
        made = pool_tokens(tokens, how=how, prefix=card["prefix_tokens"])
        assert made.shape == (1, one["dim"]), how


def test_the_mean_of_a_network_is_over_its_parts_alone():
    """The class token of the variant is that of the card; the mean leaves it out."""
    card = load_card(CONFIG, "models", "vit_tiny_random")
    both = with_pooling(card, "class+mean", "both")
    torch.manual_seed(0)
    plain = Encoder(build_network(card), card).eval()
    torch.manual_seed(0)
    wide = Encoder(build_network(both), both).eval()
    patches = torch.rand(2, 3, 32, 32)
    with torch.inference_mode():
        tokens = wide.network((patches - wide.mean) / wide.std)
        torch.testing.assert_close(wide(patches)[:, :192], plain(patches))
        torch.testing.assert_close(wide(patches)[:, 192:], tokens[:, 1:].mean(dim=1))


def test_a_view_fit_enlarges_the_whole_crop_and_leaves_what_fits():
    card = load_card(CONFIG, "models", "gigapath")  # its own transform cuts an eighth off
    framed = torch.full((1, 3, 64, 64), 255, dtype=torch.uint8)
    framed[..., 4:-4, 4:-4] = 0
    fit, own = (
        transform_patches(framed, geometry_of(card, f"{p}-fp16", 64)) for p in ("fit", "card")
    )
    assert fit.shape == own.shape == (1, 3, 224, 224)
    assert fit.mean() == pytest.approx(1 - 56**2 / 64**2, abs=0.001)
    assert own[..., 4:-4, 4:-4].max() == 0
    exact = torch.randint(0, 256, (1, 3, 224, 224), dtype=torch.uint8)
    assert torch.equal(
        transform_patches(exact, geometry_of(card, "fit-fp16", 224)), exact.float() / 255
    )


def test_a_sweep_crosses_every_model_with_every_pooling_and_every_crop():
    swept = study("ganz2024_context")
    assert swept.datasets == ["midog2022_64px", "midog2022_96px", "midog2022_128px", "midog2022"]
    models = [row.model for row in swept.rows]
    assert models[:5] == ["colour_histogram", "h_optimus_0", *(f"h_optimus_0_pool_{how}" for how in
                          ("mean", "class_mean", "centre"))]  # fmt: skip
    assert models[5:9] == [
        "virchow2_pool_class", "virchow2_pool_mean", "virchow2", "virchow2_pool_centre",
    ]  # fmt: skip
    assert models[-1] == "resnet50_imagenet"
    assert {"context.csv", "context.pdf", "context.png"} < set(swept.products)
    facts = context_facts(swept)
    assert facts.crops["midog2022_64px"] == ("midog2022", 64)
    assert facts.models["virchow2"] == ("virchow2", "class+mean")
    assert facts.models["colour_histogram"] == ("colour_histogram", "none")


def test_a_model_more_is_one_line_more():
    ours = study("ganz2024_context")
    rows = [*ours.config["rows"], {"model": "gigapath", "head": "linear_probe"}]
    more = study("ganz2024_context", rows=rows)
    assert [row for row in more.rows if row not in ours.rows] == [
        row for row in more.rows if row.model.startswith("gigapath")
    ]
    assert len(more.rows) == len(ours.rows) + 4


def test_a_study_that_does_not_sweep_is_as_it_was():
    plain = study("demo")
    assert plain.datasets == ["demo_rois", "demo_slides"]
    assert "context.csv" not in plain.products


def test_what_sees_patches_as_they_are_cut_cannot_be_swept():
    rows = [{"model": "resnet10t_random", "head": "endtoend"}]
    with pytest.raises(CardError, match="context: endtoend trains on patches as they are cut"):
        study("demo_context", rows=rows, figure2=rows, reference=None)


def test_models_that_return_no_tokens_pool_as_their_cards_say():
    card = load_card(CONFIG, "models", "resnet50_imagenet")
    assert pooling_variants("resnet50_imagenet", card, ["class", "mean"]) == ["resnet50_imagenet"]


def test_a_smaller_crop_is_the_middle_of_a_larger_one(cohort, demo_card, tmp_path):
    """The same cells under the same ids, whichever the crop."""
    ours, seen, tables = study("demo_context"), {}, {}
    for name in ours.datasets:
        card = ours.dataset(name)
        cells = read_cells(cohort / "annotations.json", cohort / "images", card, name)
        tables[name] = cells[cells["image"].isin(["001.tiff", "009.tiff"])]
        tables[name].to_csv(tmp_path / f"{name}.csv", index=False)
        cut(tmp_path / f"{name}.h5", tmp_path / f"{name}.csv", cohort / "images", card)
        some = {"all": tables[name]["id"].tolist()}
        seen[name] = patch_view(tmp_path / f"{name}.h5", some)["all"]
    pd.testing.assert_frame_equal(*tables.values())
    small, large = seen["demo_rois_24px"], seen["demo_rois"]
    assert len(small) > 20
    assert np.array_equal(small, large[:, 12:36, 12:36])


def test_the_same_network_without_its_weights_needs_no_card():
    made = study("amibr")
    card, random = made.model("efficientnet_lite0"), made.model("efficientnet_lite0_random")
    assert random["title"] == f"{card['title']} (random weights)"
    assert random["weights"] == {"random": 0}
    assert "checkpoint" not in random
    alike = ("architecture", "arguments", "dim", "parameters", "normalise", "transform")
    assert all(random[key] == card[key] for key in alike)
    rows = [{"model": "efficientnet_lite0_random", "head": head} for head in ("ridge", "endtoend")]
    facts = row_facts(study("amibr", rows=rows, reference=rows[0], figure2=rows[:1]))
    assert facts.random == ["efficientnet_lite0_random"]
    for name in ("vit_tiny_random_random", "colour_histogram_random"):
        with pytest.raises(CardError, match="the weights of .* are not trained"):
            made.model(name)
    assert made.model("vit_tiny_random")["weights"] == {"random": 0}


def test_four_crops_are_enlarged_to_the_input_of_the_network():
    made = study("amibr_context", context={"sides": [48, 64, 96, 128], "poolings": ["class"]})
    assert made.datasets == ["amibr_48px", "amibr", "amibr_96px", "amibr_128px"]
    card = made.model("efficientnet_lite0")
    for name in made.datasets:
        geometry = geometry_of(card, "fit-fp32", made.dataset(name)["patch"]["side"])
        assert (geometry.seen, geometry.crop) == (224, None)


SWEEP = {"sides": [64, 128], "resolutions": [0.25, 0.5, 1.0], "poolings": ["mean"]}


def test_a_crop_at_a_coarser_resolution_shows_the_same_field_in_fewer_pixels():
    made = study("amibr_context", context=SWEEP)
    assert made.datasets == [
        "amibr", "amibr_64px_500nm", "amibr_64px_1000nm",
        "amibr_128px", "amibr_128px_500nm", "amibr_128px_1000nm",
    ]  # fmt: skip
    shown = [made.dataset(name)["patch"] for name in made.datasets]
    assert [one["side"] for one in shown] == [64, 32, 16, 128, 64, 32]
    assert [one["resolution"] for one in shown] == ["native", 0.5, 1.0] * 2
    assert all(made.split_source(name) == "amibr" for name in made.datasets)
    assert without_notes(made.dataset("amibr"), "patch", "mpp") == without_notes(
        load_card(CONFIG, "datasets", "amibr"), "patch"
    )
    facts = context_facts(made)
    assert facts.crops["amibr_128px_500nm"] == ("amibr", 128)
    assert list(facts.resolutions.values()) == [0.25, 0.5, 1.0] * 2
    assert {"resolution.png", "context.csv"} < set(made.products)
    assert "resolution.png" not in study("amibr_context").products
    assert context_facts(study("amibr_context")).resolutions == {}


@pytest.mark.parametrize(
    ("dataset", "said"),
    [
        ("amibr_64px_200nm", "asks for 0.2 µm/px, and its card has 0.25"),
        ("amibr_32px_1000nm", "patch.side: 8 is less than the minimum of 16"),
        ("demo_external_48px_500nm", "has no µm/px as a number; write `nominal_mpp:`"),
    ],
)
def test_a_resolution_that_cannot_be_shown_is_refused(dataset, said):
    with pytest.raises(CardError, match=said):
        study("demo").dataset(dataset)


def test_resolutions_need_a_view_that_enlarges():
    view = {"transform": "paper", "precision": "fp32"}
    with pytest.raises(CardError, match="`resolutions` are told apart where every crop is"):
        study("amibr_context", context=SWEEP, view=view)


def test_a_coarse_patch_has_lost_what_is_finer_than_its_pixels(cohort, demo_card, tmp_path):
    """Resampled to half as many px, a stripe pattern of one px becomes grey."""
    from cryotome.data.images import open_image
    from cryotome.data.windows import cut_patch

    stripes = np.zeros((200, 200, 3), np.uint8)
    stripes[:, ::2] = 255
    from PIL import Image

    Image.fromarray(stripes).save(tmp_path / "stripes.png")
    image = open_image(tmp_path / "stripes.png")
    how = {"border": "reflect"}
    fine = cut_patch(image, 100, 100, side=64, scale=1, **how)
    coarse = cut_patch(image, 100, 100, side=32, scale=2, **how)
    assert fine.std() > 100
    assert coarse[8:-8, 8:-8].std() < 10
    assert coarse.mean() == pytest.approx(fine.mean(), abs=3)
