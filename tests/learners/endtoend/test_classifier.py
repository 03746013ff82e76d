from pathlib import Path

import pytest
import torch
from conftest import CONFIG

from cryotome.core.cards import load_card
from cryotome.core.errors import CardError
from cryotome.encoders.encoder import state_hash
from cryotome.learners.endtoend.classifier import build_classifier

NOWHERE = Path("nowhere")


def test_folds_start_from_different_weights_and_the_same_fold_from_the_same():
    card = load_card(CONFIG, "models", "resnet10t_random")
    built = [
        build_classifier(card, "resnet10t_random", NOWHERE, side=40, seed=seed)[0]
        for seed in (42, 42, 43)
    ]
    hashes = [state_hash(network) for network in built]
    assert hashes[0] == hashes[1] != hashes[2]
    assert built[0](torch.rand(2, 3, 40, 40)).shape == (2, 1)


@pytest.mark.parametrize("name", ["colour_histogram", "slide_identity"])
def test_a_card_without_a_network_is_refused(name, tmp_path):
    card = load_card(CONFIG, "models", name)
    with pytest.raises(
        CardError, match=f"^{name} has no network that could be trained: its loader is '{name}'"
    ):
        build_classifier(card, name, tmp_path, side=64, seed=0)


@pytest.mark.parametrize("side", [64, 96, 128, 224])
@pytest.mark.parametrize("lora", [None, load_card(CONFIG, "heads", "lora")["lora"]])
def test_a_training_starts_from_pretrained_weights_at_any_side(lora, side):
    card = load_card(CONFIG, "models", "efficientnet_lite0")
    network, known = build_classifier(
        card,
        "efficientnet_lite0",
        NOWHERE,
        side=side,
        seed=0,
        head={"lora": lora} if lora else None,
    )
    assert known == card["weights"]["sha256"]
    trained = {name for name, value in network.named_parameters() if value.requires_grad}
    assert all("lora_" in name or name.startswith("1.") for name in trained) == bool(lora)
    network.train()(torch.rand(2, 3, side, side)).sum().backward()
    reached = {name for name, value in network.named_parameters() if value.grad is not None}
    assert reached == trained
