import pytest
import torch
from conftest import CONFIG
from tests.core.test_cards import NETWORKS
from torch import nn

from cryotome.core.cards import load_card
from cryotome.core.errors import CardError, WeightsError
from cryotome.encoders.encoder import Encoder
from cryotome.encoders.network import build_network, on_meta
from cryotome.learners.endtoend.classifier import build_classifier
from cryotome.learners.endtoend.lora import (
    adapters_of,
    add_lora,
    count_adapters,
    load_logit,
    load_lora,
    merge_lora,
    trained_parameters,
)
from cryotome.study.geometry import input_side

SETTINGS = load_card(CONFIG, "heads", "lora")["lora"]

# The classes of the repeated blocks, wherever a library keeps them and whatever it calls them.
BLOCKS = {"Block", "SwinTransformerBlock", "EvaBlock", "BasicBlock", "Bottleneck"}
BLOCKS |= {"BeitLayer", "Data2VecVisionLayer", "Dinov2Layer", "ViTLayer"}
BLOCKS |= {"Dinov2WithRegistersLayer", "ConvNeXtBlock", "ConvBnAct", "EdgeResidual"}
BLOCKS |= {"DepthwiseSeparableConv", "InvertedResidual"}


def adapted_names(network: nn.Module) -> set[str]:
    """Return the names that the adapted layers had in the bare network."""
    ending = ".lora_A.default.weight"
    named = [name for name, _ in network.named_parameters() if name.endswith(ending)]
    return {name.removesuffix(ending).removeprefix("model.") for name in named}


def adapted_on_meta(name: str, side: int | None = None) -> tuple[nn.Module, set[str]]:
    """Return an adapted network without numbers, and what its blocks held before."""
    with on_meta():
        network = build_network(load_card(CONFIG, "models", name), side)
        held = {
            f"{path}.{inner}"
            for path, block in network.named_modules()
            for inner, layer in block.named_modules()
            if type(block).__name__ in BLOCKS and isinstance(layer, nn.Linear | nn.Conv2d)
            if getattr(layer, "dilation", (1, 1)) == (1, 1)  # peft's copies are not dilated
            if getattr(layer, "groups", 1) == 1  # nor grouped
            if type(layer).__name__ != "Conv2dSame"  # nor padded as TensorFlow pads
        }
        counted = count_adapters(network, SETTINGS, name=name)
        adapted = add_lora(network, SETTINGS, name=name)
    assert trained_parameters(adapted) == counted
    return adapted, held


@pytest.mark.parametrize("name", NETWORKS)
def test_all_layers_of_the_blocks_and_no_others_are_adapted_and_used(name):
    card = load_card(CONFIG, "models", name)
    side = input_side(card)
    network, held = adapted_on_meta(name, side)
    assert adapted_names(network) == held
    assert held
    used = set()
    for path, layer in network.named_modules():
        if path.endswith(".lora_B.default"):
            layer.register_forward_hook(lambda *_, path=path: used.add(path))
    with torch.device("meta"):
        encoder = Encoder(network, card)
    with torch.no_grad():
        embedding = encoder(torch.empty(2, 3, side, side, device="meta"))
    assert embedding.shape == (2, card["dim"])
    assert used == {f"model.{path}.lora_B.default" for path in held}, "a layer went round its own"


VIT = {"attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2"}
ATTENTION = {f"attention.{x}_proj" for x in "qkvo"}


@pytest.mark.parametrize(
    ("name", "blocks", "depth", "layers"),
    [
        ("uni", "blocks", 24, VIT),
        ("virchow2", "blocks", 32, VIT),  # SwiGLU, both gates in fc1
        ("gigapath", "blocks", 40, VIT),
        ("sam_vit_b", "blocks", 12, VIT),
        ("conch_v1_5", "trunk.blocks", 24, VIT),
        ("imagebind_vit_h", "trunk.blocks", 32, VIT),
        (
            "dinov3_vithplus16",
            "blocks",
            32,
            {"attn.qkv", "attn.proj", "mlp.fc1_g", "mlp.fc1_x", "mlp.fc2"},
        ),
        ("phikon", "layers", 12, ATTENTION | {"mlp.fc1", "mlp.fc2"}),
        (
            "midnight_12k",
            "encoder.layer",
            40,
            ATTENTION | {"mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"},
        ),
    ],
)
def test_vision_transformers_are_adapted_in_attention_and_mlp(name, blocks, depth, layers):
    expected = {f"{blocks}.{n}.{layer}" for n in range(depth) for layer in layers}
    assert adapted_names(adapted_on_meta(name)[0]) == expected


def test_a_residual_network_is_adapted_in_its_residual_blocks():
    assert adapted_names(adapted_on_meta("resnet10t_random")[0]) == {
        "layer1.0.conv1",
        "layer1.0.conv2",
        "layer2.0.conv1",
        "layer2.0.conv2",
        "layer2.0.downsample.1",
        "layer3.0.conv1",
        "layer3.0.conv2",
        "layer3.0.downsample.1",
        "layer4.0.conv1",
        "layer4.0.conv2",
        "layer4.0.downsample.1",
    }


@pytest.mark.parametrize(
    ("name", "depth", "dim", "gates", "hidden"),
    [
        ("vit_tiny_random", 12, 192, 768, 768),
        ("uni", 24, 1024, 4096, 4096),
        ("virchow2", 32, 1280, 6832, 3416),
        ("gigapath", 40, 1536, 8192, 4096),
        ("dinov2_vitg14", 40, 1536, 8192, 4096),
    ],
)
def test_trained_parameters_are_those_counted_by_hand(name, depth, dim, gates, hidden):
    ends = (dim + 3 * dim) + (dim + dim) + (dim + gates) + (hidden + dim)  # qkv, proj, fc1, fc2
    network, _ = adapted_on_meta(name)
    assert trained_parameters(network) == 16 * depth * ends
    millions = {"uni": 6.3, "virchow2": 10.5, "gigapath": 15.7, "dinov2_vitg14": 15.7}
    assert round(trained_parameters(network) / 1e6, 1) == millions.get(name, 0.6)


SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
TINY = {
    "vit_tiny_random": {},
    "resnet10t_random": {"zero_init_last": False},  # a scale of zero would stop all gradients
    "beit_vit_b": SIZES | {"intermediate_size": 64},  # asked for its hidden states
    "hibou_b": SIZES,
}
PIXELS = torch.rand(4, 3, 224, 224, generator=torch.Generator().manual_seed(0))


def fresh(name: str) -> tuple[nn.Module, dict]:
    """Return a small bare network, the same in each call, and its card."""
    card = load_card(CONFIG, "models", name)
    card["arguments"] |= TINY[name]
    card["dim"] = TINY[name].get("hidden_size", card["dim"])
    torch.manual_seed(1)
    return build_network(card).eval(), card


def embed(network: nn.Module, card: dict) -> torch.Tensor:
    with torch.inference_mode():
        return Encoder(network, card).eval()(PIXELS)


def train(network: nn.Module, card: dict, steps: int = 3) -> None:
    encoder = Encoder(network, card).train()
    optimiser = torch.optim.Adam(encoder.parameters(), lr=0.01)
    for _ in range(steps):
        optimiser.zero_grad()
        (encoder(PIXELS)[::2] - 1).square().mean().backward()
        optimiser.step()


@pytest.mark.parametrize("name", TINY)
def test_nothing_changes_before_the_first_step_and_then_adapters_only(name):
    bare, card = fresh(name)
    before = embed(bare, card)
    network = add_lora(bare, SETTINGS, name=name)
    assert torch.equal(embed(network, card), before)
    state = {key: value.clone() for key, value in network.state_dict().items()}
    assert {value.dtype for value in network.parameters()} == {torch.float32}
    train(network, card)
    after = network.state_dict()
    moved = {key for key, value in state.items() if not torch.equal(value, after[key])}
    assert moved == {key for key in state if ".lora_" in key}
    assert len(moved) == 2 * len(adapted_names(network))


@pytest.mark.parametrize("name", TINY)
def test_adapters_are_taken_out_put_back_and_merged(name):
    bare, card = fresh(name)
    untrained = embed(bare, card)
    network = add_lora(bare, SETTINGS | {"alpha": 48}, name=name)
    train(network, card)
    trained = embed(network, card)
    assert (trained - untrained).abs().max() > 0.001
    state = adapters_of(network)
    assert sum(value.numel() for value in state.values()) == trained_parameters(network)

    random = torch.random.get_rng_state()
    again = fresh(name)[0]
    torch.random.set_rng_state(random)
    again = load_lora(state, SETTINGS | {"alpha": 48}, again, name=name)
    assert torch.equal(torch.random.get_rng_state(), random), "reading drew random numbers"
    assert (embed(again, card) - trained).abs().max() < 1e-5
    assert trained_parameters(again) == trained_parameters(network)

    plain = merge_lora(again)
    assert (embed(plain, card) - trained).abs().max() < 1e-5
    assert plain.state_dict().keys() == fresh(name)[0].state_dict().keys()
    fresh(name)[0].load_state_dict(plain.state_dict(), strict=True)


def test_the_logit_is_kept_beside_the_adapters(tmp_path):
    card = load_card(CONFIG, "models", "vit_tiny_random")
    how = {"side": 64, "seed": 5, "head": {"lora": SETTINGS}}
    network, _ = build_classifier(card, "vit_tiny_random", tmp_path, **how)
    with torch.no_grad():
        for weight in network.parameters():
            weight += 0.01 * weight.requires_grad
    x = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    trained = network.eval()(x)
    state = adapters_of(network[0].network, network[1])

    again, _ = build_classifier(card, "vit_tiny_random", tmp_path, side=64, seed=5)
    again[0].network = load_lora(state, SETTINGS, again[0].network, name="m")
    again[1] = load_logit(state)
    assert (again.eval()(x) - trained).abs().max() < 1e-5


def test_one_seed_gives_equal_adapters_and_another_others():
    states = []
    for seed in (3, 3, 4):
        bare, _ = fresh("vit_tiny_random")
        torch.manual_seed(seed)
        network = add_lora(bare, SETTINGS, name="vit_tiny_random")
        states.append(network.state_dict()["model.blocks.5.mlp.fc1.lora_A.default.weight"])
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])


def test_what_is_added_is_alpha_over_rank_b_a_x():
    settings = {"rank": 2, "alpha": 6, "dropout": 0.0, "targets": "0"}
    network = add_lora(nn.Sequential(nn.Linear(2, 1, bias=False)), settings, name="m")
    with torch.no_grad():
        state = network.state_dict()
        state["model.0.base_layer.weight"].copy_(torch.tensor([[1.0, 1.0]]))
        state["model.0.lora_A.default.weight"].copy_(torch.tensor([[1.0, 0.0], [0.0, 2.0]]))
        state["model.0.lora_B.default.weight"].copy_(torch.tensor([[10.0, 100.0]]))
    x = torch.tensor([[1.0, 2.0]])
    assert network(x).item() == 3 + 6 / 2 * (10 * 1 + 100 * 4)
    assert merge_lora(network)(x).item() == 1233


def test_dropout_is_for_training_only():
    settings = {"rank": 1, "alpha": 1, "dropout": 0.9, "targets": "0"}
    network = add_lora(nn.Sequential(nn.Linear(50, 1)), settings, name="m")
    with torch.no_grad():
        network.state_dict()["model.0.lora_B.default.weight"].fill_(1)
    x = torch.ones(1, 50)
    assert network.eval()(x) == network(x)
    assert network.train()(x) != network(x)


class Scaled(nn.Linear):
    """A layer that does more than W x."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * super().forward(x)


def test_only_plain_linear_layers_and_ungrouped_convolutions_are_adapted():
    layers = [nn.Linear(4, 4), Scaled(4, 4), nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1, groups=2)]
    network = add_lora(nn.Sequential(*layers), SETTINGS | {"targets": ".*"}, name="m")
    assert adapted_names(network) == {"0", "2"}


def test_targets_that_match_nothing_are_shown_with_the_names_there_are():
    said = (
        r"^vit_tiny_random has no layer whose whole name matches lora.targets 'blocks' of the head "
        r"card. Its 49 layers begin with patch_embed.proj, blocks.0.attn.qkv, blocks.0.attn.proj, "
        r"blocks.0.mlp.fc1, blocks.0.mlp.fc2. Write a head card \(`extends: lora`\)"
    )
    with pytest.raises(CardError, match=said):
        add_lora(
            fresh("vit_tiny_random")[0], SETTINGS | {"targets": "blocks"}, name="vit_tiny_random"
        )


def test_targets_that_are_no_expression_are_refused():
    with pytest.raises(
        CardError, match=r"lora.targets '\(blocks' is no regular expression: missing \)"
    ):
        add_lora(nn.Sequential(nn.Linear(2, 2)), SETTINGS | {"targets": "(blocks"}, name="m")


def test_a_network_without_such_layers_is_refused():
    with pytest.raises(CardError, match="^mine has no linear layer and no ungrouped convolution"):
        add_lora(nn.Sequential(nn.ReLU()), SETTINGS, name="mine")


def test_adapters_of_another_network_are_refused():
    tiny = fresh("vit_tiny_random")[0]
    state = adapters_of(add_lora(tiny, SETTINGS, name="vit_tiny_random"))
    with pytest.raises(WeightsError, match="another network than resnet10t_random: see "):
        load_lora(state, SETTINGS, fresh("resnet10t_random")[0], name="resnet10t_random")
    with pytest.raises(WeightsError, match="another network than mine.$"):
        load_lora(state, SETTINGS, nn.Sequential(nn.ReLU()), name="mine")
    card = load_card(CONFIG, "models", "vit_tiny_random")
    for arguments in ({"depth": 11}, {"embed_dim": 96}):
        card["arguments"] = {"num_classes": 0} | arguments
        with pytest.raises(WeightsError, match=r"other: see model.blocks.\d+.attn.proj.lora_A"):
            load_lora(state, SETTINGS, build_network(card), name="other")
