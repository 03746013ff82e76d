import re

import pytest
import torch
from conftest import CONFIG

from cryotome.core.cards import load_card
from cryotome.core.errors import CardError
from cryotome.encoders.network import build_bare, build_network, on_meta, require_input_side
from cryotome.study.geometry import Geometry


def small(name: str, **changes: object) -> dict:
    card = load_card(CONFIG, "models", name)
    return card | {"arguments": card["arguments"] | changes}


def refusal(card: dict, name: str, geometry: Geometry) -> str:
    with pytest.raises(CardError) as error:
        require_input_side(card, name, geometry)
    return str(error.value)


@pytest.mark.parametrize(
    ("name", "side", "said"),
    [
        (
            "h_optimus_0",
            64,
            r"takes patches of 224 px, not 64. Use a dataset card with `patch: \{side: 224\}`, or a view `fit-",
        ),
        ("gigapath", 64, "takes patches of 224 px, not 64.*, or a view `fit-"),
        ("virchow2", 64, "takes multiples of 14 px, not 64.*side: 56"),
        ("phikon", 64, "takes patches of 224 px"),
    ],
)
def test_patches_that_a_network_cannot_take_are_refused_before_it_is_loaded(name, side, said):
    card = load_card(CONFIG, "models", name)
    with pytest.raises(CardError, match=said):
        require_input_side(card, name, Geometry(side, "paper"))
    require_input_side(card, name, Geometry(224, "paper"))
    assert "a view" not in refusal(card, name, Geometry(side)), "heads resize nothing"


def test_networks_whose_grid_is_resized_take_multiples_of_their_patch_only():
    for name in ("midnight_12k", "dinov2_vits14"):
        card = load_card(CONFIG, "models", name)
        require_input_side(card, name, Geometry(70, "paper"))
        assert "takes multiples of 14 px, not 64" in refusal(card, name, Geometry(64, "card"))
        assert "{side: 14}" in refusal(card, name, Geometry(9, "paper"))


def test_networks_that_take_any_size_are_let_through():
    for name in ("vit_tiny_random", "resnet10t_random", "resnet50_imagenet"):
        require_input_side(load_card(CONFIG, "models", name), name, Geometry(50, "paper"))


def test_swiglu_without_its_gate_is_impossible():
    """It would load strictly, same names and shapes, and be wrong."""
    card = small("virchow2", depth=1, act_layer="GELU")
    card["arguments"].pop("act_layer")
    with pytest.raises(
        CardError, match=r"has the gate GELU in blocks.0.mlp, where SwiGLU has SiLU"
    ):
        build_network(card)
    build_network(small("virchow2", depth=1))


def test_an_average_is_not_taken_for_a_class_token():
    """timm averages the tokens of DINOv3 unless it is told otherwise."""
    card = small("dinov3_vits16", depth=1)
    build_network(card)
    card["arguments"].pop("global_pool")
    with pytest.raises(CardError, match=r"pools by 'avg', its card says `pooling: class`. Write"):
        build_network(card)


@pytest.mark.parametrize(
    "name",
    ["virchow", "virchow2", "uni2_h", "h0_mini", "gigapath_flash", "gigapath", "openmidnight"],
)
def test_every_swiglu_of_a_card_has_its_gate(name):
    with on_meta():
        network = build_network(load_card(CONFIG, "models", name))
    gates = [layer.act for layer in network.modules() if type(layer).__name__ == "GluMlp"]
    assert len(gates) == len(network.blocks)
    assert all(isinstance(gate, torch.nn.SiLU) for gate in gates)


def test_registers_and_gates_of_a_transformers_network_are_those_of_its_class():
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4}
    network = build_network(small("hibou_b", **sizes))
    assert network.embeddings.register_tokens.shape == (1, 4, 32)
    assert any(name.endswith("mlp.gate_proj.weight") for name in network.state_dict())


@pytest.mark.parametrize(
    ("loader", "architecture"),
    [
        ("torchvision", "fcn_resnet50"),  # would fetch the weights of its backbone
        ("torchvision", "r3d_18"),
        ("transformers", "pipeline"),
        ("transformers", "AutoModel"),
        ("transformers", "no_such_name"),
    ],
)
def test_what_is_no_network_of_a_library_is_not_called(loader, architecture):
    card = {"loader": loader, "architecture": architecture, "arguments": {}, "pooling": "built_in"}
    with pytest.raises(CardError, match=architecture):
        build_network(card)


REGISTERS = {
    "loader": "timm",
    "architecture": "vit_tiny_patch16_224",
    "arguments": {"num_classes": 0, "depth": 1, "reg_tokens": 4, "global_pool": ""},
    "pooling": "mean",
}


OF_TRANSFORMERS = {
    "loader": "transformers",
    "architecture": "Dinov2WithRegistersModel",
    "arguments": {
        "hidden_size": 8,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_register_tokens": 3,
    },
    "pooling": "mean",
}


@pytest.mark.parametrize(("card", "own"), [(REGISTERS, 5), (OF_TRANSFORMERS, 4)])
def test_a_card_with_other_prefix_tokens_than_its_network_stops(card, own):
    with on_meta():
        build_network(card | {"prefix_tokens": own})
        for wrong in (0, 1, own + 1):
            with pytest.raises(
                CardError, match=rf"has {own} tokens before .* write `prefix_tokens: {own}`"
            ):
                build_network(card | {"prefix_tokens": wrong})


def test_a_network_without_numbers_is_the_same_whether_or_not_it_is_filled():
    card = load_card(CONFIG, "models", "vit_tiny_random")
    with torch.device("meta"):
        filled = build_network(card)
    with on_meta():
        network = build_network(card)
    assert all(tensor.is_meta for tensor in network.state_dict().values())
    shapes = {name: tensor.shape for name, tensor in filled.state_dict().items()}
    assert {name: tensor.shape for name, tensor in network.state_dict().items()} == shapes
    with on_meta():
        assert torch.zeros(2, device="cpu").add_(1).tolist() == [1, 1]


def test_a_network_without_tokens_of_its_own_is_not_asked():
    card = {"loader": "timm", "architecture": "resnet10t", "arguments": {}, "pooling": "map_mean"}
    with on_meta():
        build_network(card | {"prefix_tokens": 0})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"architecture": "vit_smal_patch16_224"}, "Did you mean 'vit_small_patch16_224'?"),
        ({"arguments": {"dynamic_image_size": True}}, "unexpected keyword argument 'dynamic_image"),
    ],
)
def test_what_the_library_does_not_build_is_named(change, said):
    card = {"loader": "timm", "architecture": "vit_small_patch16_224", "arguments": {}} | change
    with pytest.raises(CardError, match=re.escape(said)) as refused:
        build_bare(card)
    assert "Correct `architecture` or `arguments` in the model's card." in str(refused.value)
