from pathlib import Path

import pytest
import timm
import torch
from conftest import CONFIG
from torch import nn

from cryotome.core.cards import load_card
from cryotome.core.errors import CardError
from cryotome.learners.endtoend.classifier import build_classifier
from cryotome.learners.endtoend.last_blocks import train_last_blocks


def trained(network: nn.Module) -> set[str]:
    return {path for path, weight in network.named_parameters() if weight.requires_grad}


@pytest.mark.parametrize(
    ("architecture", "count", "begins"),
    [
        ("tf_efficientnet_lite0", 1, ("blocks.6.0.", "conv_head.", "bn2.")),
        ("resnet10t", 1, ("layer4.0.",)),
        ("resnet10t", 2, ("layer3.0.", "layer4.0.")),
        ("vit_tiny_patch16_224", 1, ("blocks.11.", "norm.")),
        ("swin_tiny_patch4_window7_224", 1, ("layers.3.blocks.1.", "norm.")),
        ("convnext_atto", 1, ("stages.3.blocks.1.", "norm_pre.", "head.norm.")),
    ],
)
def test_the_last_block_and_what_follows_it_train(architecture, count, begins):
    network = timm.create_model(architecture, num_classes=0)
    wanted = {path for path, _ in network.named_parameters() if path.startswith(begins)}
    assert trained(train_last_blocks(network, count, name="m")) == wanted


def test_frozen_weights_and_statistics_stay_as_they_were():
    card = load_card(CONFIG, "models", "resnet10t_random")
    network, _ = build_classifier(card, "r", Path(), side=32, seed=1, head={"last_blocks": 1})
    before = {name: value.clone() for name, value in network.state_dict().items()}
    free = [weight for weight in network.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(free, lr=0.1)
    network.train()(torch.rand(4, 3, 32, 32)).square().mean().backward()
    optimizer.step()
    changed = {n for n, value in network.state_dict().items() if not torch.equal(value, before[n])}
    assert changed <= trained(network)
    assert {"0.network.layer4.0.conv2.weight", "1.weight"} <= changed  # block and new layer


def test_a_network_with_fewer_blocks_or_without_any_is_refused():
    with pytest.raises(CardError, match="m has 4 blocks, and the head trains its last 5"):
        train_last_blocks(timm.create_model("resnet10t", num_classes=0), 5, name="m")
    with pytest.raises(CardError, match="m is no network of timm, so `last_blocks` cannot tell"):
        train_last_blocks(nn.Linear(2, 2), 1, name="m")


def test_a_head_trains_adapters_or_blocks():
    for name in ("last_block", "last_block_short"):
        assert load_card(CONFIG, "heads", name)["last_blocks"] == 1


def test_a_card_with_both_is_refused(tmp_path):
    (tmp_path / "heads").mkdir()
    for name in ("endtoend", "lora"):
        text = (CONFIG / "heads" / f"{name}.yaml").read_text(encoding="utf-8")
        (tmp_path / "heads" / f"{name}.yaml").write_text(text, encoding="utf-8")
    said = "extends: lora\ntitle: both\nsource: x\nlast_blocks: 1\n"
    (tmp_path / "heads" / "both.yaml").write_text(said, encoding="utf-8")
    with pytest.raises(CardError, match="both.yaml, .*False schema does not allow {'rank': 16"):
        load_card(tmp_path, "heads", "both")
