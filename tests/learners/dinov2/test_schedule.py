import pytest
import torch
from conftest import CONFIG
from small_dino import finetune_card, small_learner

from cryotome.core.cards import load_card
from cryotome.learners.dinov2.schedule import (
    Schedule,
    apply_schedule,
    schedule_at,
    weight_factors,
    with_warmup,
)

S_NCT = load_card(CONFIG, "finetunings", "dinov2_s_nct")
S_TCGA = load_card(CONFIG, "finetunings", "dinov2_s_tcga")


def test_rates_at_the_published_checkpoints_are_those_of_the_original_scheduler():
    """training.md, 1.1: stopping early is no short schedule."""
    nct, tcga = schedule_at(1999, S_NCT), schedule_at(29999, S_TCGA)
    assert nct.learning_rate == pytest.approx(9.7e-5, abs=5e-7)
    assert nct.weight_decay == pytest.approx(0.055, abs=5e-4)
    assert nct.momentum == pytest.approx(0.99457, abs=5e-6)
    assert nct.temperature == pytest.approx(0.060, abs=5e-5)
    assert tcga.learning_rate == pytest.approx(8.4e-5, abs=5e-7)
    assert tcga.weight_decay == pytest.approx(0.073, abs=5e-4)
    assert tcga.momentum == pytest.approx(0.99524, abs=5e-6)
    assert tcga.temperature == 0.07


@pytest.mark.parametrize(
    ("name", "peak"),
    [("dinov2_s_nct", 1e-4), ("dinov2_g_nct", 3.536e-5), ("dinov2_s_nct_batch128", 7.07e-5)],
)
def test_the_peak_follows_the_root_of_the_batch(name, peak):
    card = load_card(CONFIG, "finetunings", name)
    assert schedule_at(999, card).learning_rate == pytest.approx(peak, rel=1e-3)
    assert schedule_at(1000, card).learning_rate == pytest.approx(peak, rel=1e-3)
    assert schedule_at(0, card).learning_rate == 0
    assert schedule_at(9999, card).learning_rate == pytest.approx(1e-6, rel=1e-4)


def test_prototypes_stay_for_a_pseudo_epoch():
    assert schedule_at(99, S_NCT).last_layer == 0
    assert schedule_at(100, S_NCT).last_layer == schedule_at(100, S_NCT).learning_rate > 0


def test_a_warm_up_of_no_length_is_over():
    assert with_warmup(0, 0, start=0, end=1) == 1
    assert with_warmup(0, 1, start=0, end=1) == 1


def test_multipliers_of_twelve_layers_are_those_of_the_original():
    """training.md, section 2: 0.0508, 0.2542 ... 0.9, 1.0."""
    rate = lambda name: weight_factors(name, 12, S_NCT)[0]  # noqa: E731
    of = "backbone.network."
    assert rate(f"{of}patch_embed.proj.weight") == pytest.approx(0.0508, abs=5e-5)
    assert rate(f"{of}pos_embed") == pytest.approx(0.2542, abs=5e-5)
    assert rate("backbone.mask_token") == rate(f"{of}cls_token") == rate(f"{of}pos_embed")
    blocks = [rate(f"{of}blocks.{at}.mlp.fc1.weight") for at in range(12)]
    assert blocks == pytest.approx([0.9 ** (12 - at) for at in range(12)])
    assert blocks[0] == pytest.approx(0.2824, abs=5e-5)
    assert blocks[-1] == 0.9
    assert rate(f"{of}norm.weight") == rate("head.layers.0.weight") == 1


def test_biases_norms_and_layer_scale_are_not_decayed_all_else_is():
    still = {"blocks.0.ls1.gamma", "blocks.0.norm1.weight", "norm.bias"}
    still |= {"blocks.0.attn.qkv.bias", "patch_embed.proj.bias"}
    assert {weight_factors(f"backbone.network.{name}", 12, S_NCT)[1] for name in still} == {0.0}
    decayed = ["backbone.network.pos_embed", "backbone.mask_token", "backbone.network.cls_token"]
    decayed += ["head.last.parametrizations.weight.original0", "head.layers.2.weight"]
    assert {weight_factors(name, 12, S_NCT)[1] for name in decayed} == {1.0}


def test_every_weight_is_in_one_group_with_its_rates():
    learner = small_learner(finetune_card(layer_decay=0.9, patch_embed_rate=0.2))
    groups = learner.optimizer.param_groups
    grouped = [id(weight) for group in groups for weight in group["params"]]
    assert sorted(grouped) == sorted(id(weight) for weight in learner.student.parameters())
    apply_schedule(learner.optimizer, Schedule(1.0, 0.5, 0.0, 1.0, 0.04))
    rates = {id(weight): (g["lr"], g["weight_decay"]) for g in groups for weight in g["params"]}
    network, head = learner.student.backbone.network, learner.student.head
    assert rates[id(network.blocks[1].mlp.fc1.weight)] == pytest.approx((0.9, 0.5))
    assert rates[id(network.patch_embed.proj.bias)] == pytest.approx((0.2 * 0.9**3, 0))
    assert rates[id(head.layers[0].weight)] == (1.0, 0.5)
    assert {rates[id(weight)] for weight in head.last.parameters()} == {(0.0, 0.5)}


def test_a_weight_moves_as_adamw_moves_it():
    """First step: the rate times (sign of the gradient + decay * weight)."""
    learner = small_learner(finetune_card(layer_decay=1.0))
    weight = learner.student.head.layers[0].weight
    before = weight.detach().clone()
    weight.grad = torch.full_like(weight, 3.0)
    apply_schedule(learner.optimizer, Schedule(0.01, 0.5, 0.01, 1.0, 0.04))
    learner.optimizer.step()
    assert torch.allclose(weight, before - 0.01 * (1 + 0.5 * before), atol=1e-6)
