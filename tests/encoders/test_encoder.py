from pathlib import Path

import pytest
import torch
from conftest import CONFIG

from cryotome.core.cards import load_card
from cryotome.core.errors import CardError
from cryotome.encoders.encoder import Encoder, build_encoder, state_hash
from cryotome.encoders.network import build_network, token_side, require_input_side  # fmt: skip
from cryotome.learners.endtoend.classifier import build_classifier

CPU = torch.device("cpu")
NOWHERE = Path("nowhere")
SEEN = {"view": "paper-fp32", "side": 40}
LARGE = {"view": "paper-fp32", "side": 224}


@pytest.mark.parametrize("name", ["vit_tiny_random", "resnet10t_random"])
def test_random_weights_are_seeded_and_leave_the_global_seed_alone(name):
    card = load_card(CONFIG, "models", name)
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first, second = (build_encoder(card, name, NOWHERE, **SEEN) for _ in range(2))
    assert first[1] == second[1]
    assert (torch.random.get_rng_state() == before).all()
    assert build_encoder(card | {"weights": {"random": 1}}, name, NOWHERE, **SEEN)[1] != first[1]
    with torch.inference_mode():
        assert first[0](torch.rand(2, 3, 40, 40)).shape == (2, card["dim"])


def test_folds_start_from_different_weights_and_the_same_fold_from_the_same():
    card = load_card(CONFIG, "models", "resnet10t_random")
    built = [
        build_classifier(card, "resnet10t_random", NOWHERE, side=40, seed=seed)[0]
        for seed in (42, 42, 43)
    ]
    hashes = [state_hash(network) for network in built]
    assert hashes[0] == hashes[1] != hashes[2]
    assert built[0](torch.rand(2, 3, 40, 40)).shape == (2, 1)


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
        require_input_side(card, name, side, view="paper-fp32")
    require_input_side(card, name, 224, view="paper-fp32")
    assert "a view" not in refusal(card, name, side, view="patches"), "heads resize nothing"


def refusal(card: dict, name: str, side: int, *, view: str) -> str:
    with pytest.raises(CardError) as error:
        require_input_side(card, name, side, view=view)
    return str(error.value)


def test_networks_whose_grid_is_resized_take_multiples_of_their_patch_only():
    for name in ("midnight_12k", "dinov2_vits14"):
        card = load_card(CONFIG, "models", name)
        require_input_side(card, name, 70, view="paper-fp32")
        assert "takes multiples of 14 px, not 64" in refusal(card, name, 64, view="card-fp32")
        assert "{side: 14}" in refusal(card, name, 9, view="paper-fp32")


def test_networks_that_take_any_size_are_let_through():
    for name in ("vit_tiny_random", "resnet10t_random", "resnet50_imagenet"):
        require_input_side(load_card(CONFIG, "models", name), name, 50, view="paper-fp32")


def small(name: str, **changes: object) -> dict:
    card = load_card(CONFIG, "models", name)
    return card | {"arguments": card["arguments"] | changes}


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
    with torch.device("meta"):
        network = build_network(load_card(CONFIG, "models", name))
    gates = [layer.act for layer in network.modules() if type(layer).__name__ == "GluMlp"]
    assert len(gates) == len(network.blocks)
    assert all(isinstance(gate, torch.nn.SiLU) for gate in gates)


MODELS = {
    path.stem: load_card(CONFIG, "models", path.stem) for path in CONFIG.glob("models/*.yaml")
}
SHALLOW = {
    "timm": {"depth": 1, "embed_dim": 96, "num_heads": 4},
    "transformers": {"hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4},
}
MEANS = ["mean", "class+mean", "mean_before_norm"]


@pytest.mark.parametrize("name", [n for n, c in MODELS.items() if c.get("pooling") in MEANS])
def test_no_prefix_token_is_in_the_mean(name):
    """The last tokens, one for each part of the image, are counted from the end."""
    card = small(name, **SHALLOW[MODELS[name]["loader"]])
    torch.manual_seed(0)
    network = build_network(card).eval()
    encoder, x = Encoder(network, card).eval(), torch.rand(2, 3, 224, 224)
    parts = (224 // token_side(network)) ** 2
    with torch.inference_mode():
        seen = (x - encoder.mean) / encoder.std
        if card["pooling"] == "mean_before_norm":
            tokens = network(seen, output_hidden_states=True).hidden_states[-1]
        else:
            output = network(seen)
            tokens = getattr(output, "last_hidden_state", output)
        assert tokens.shape[1] == card["prefix_tokens"] + parts
        mean = tokens[:, -parts:].mean(1)
        there = torch.cat([tokens[:, 0], mean], 1) if card["pooling"] == "class+mean" else mean
        assert torch.allclose(encoder(x), there, atol=1e-6)


LIGHT = [n for n, c in MODELS.items() if c.get("gflops", 99) < 13 and "grid" not in str(c)]


@pytest.mark.parametrize("name", LIGHT)
def test_light_encoders_run_at_full_size_and_pool_as_their_card_says(name):
    """The class token after the last norm; maps averaged; nothing depends on the batch."""
    card, side = MODELS[name], MODELS[name].get("input", 224)
    torch.manual_seed(0)
    network = build_network(card, side).eval()
    encoder, x = Encoder(network, card).eval(), torch.rand(2, 3, side, side)
    with torch.inference_mode():
        seen = (x - encoder.mean) / encoder.std
        pooled = encoder(x)
        assert pooled.shape == (2, card["dim"])
        assert torch.allclose(encoder(x[1:]), pooled[1:], atol=1e-4)
        features = getattr(network, "forward_features", network)(seen)
        features = features[-1] if isinstance(features, list) else features
        if features.ndim == 3:
            there = features[:, 0]
        elif features.ndim == 4:  # Swin says height and width first, others channels
            there = features.mean((1, 2) if features.shape[-1] == card["dim"] else (2, 3))
        else:
            there = features
        assert torch.allclose(pooled, there, atol=1e-5)


def test_registers_and_gates_of_a_transformers_network_are_those_of_its_class():
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4}
    network = build_network(small("hibou_b", **sizes))
    assert network.embeddings.register_tokens.shape == (1, 4, 32)
    assert any(name.endswith("mlp.gate_proj.weight") for name in network.state_dict())


def test_the_torchvision_checkpoint_loses_only_its_classifier(tmp_path):
    import torchvision

    card = load_card(CONFIG, "models", "resnet50_imagenet")
    (tmp_path / "resnet50_imagenet").mkdir()
    whole = torchvision.models.resnet50(weights=None).eval()
    torch.save(whole.state_dict(), tmp_path / "resnet50_imagenet" / card["weights"]["file"])
    encoder, _ = build_encoder(card, "resnet50_imagenet", tmp_path, **LARGE)
    whole.fc = torch.nn.Identity()
    with torch.inference_mode():
        pixels = torch.rand(1, 3, 64, 64)
        assert torch.equal(encoder(pixels), whole((pixels - encoder.mean) / encoder.std))


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
    with torch.device("meta"):
        build_network(card | {"prefix_tokens": own})
        for wrong in (0, 1, own + 1):
            with pytest.raises(
                CardError, match=rf"has {own} tokens before .* write `prefix_tokens: {own}`"
            ):
                build_network(card | {"prefix_tokens": wrong})


def test_a_network_without_tokens_of_its_own_is_not_asked():
    card = {"loader": "timm", "architecture": "resnet10t", "arguments": {}, "pooling": "map_mean"}
    with torch.device("meta"):
        build_network(card | {"prefix_tokens": 0})
