from pathlib import Path

import pytest
import torch
from conftest import CONFIG
from safetensors.torch import save_file

from cryotome.cards import load_card
from cryotome.encoders import (
    LOADERS,
    build_classifier,
    build_encoder,
    check_side,
    pick_device,
    pool_tokens,
    state_hash,
    use_threads,
)  # fmt: skip
from cryotome.errors import CardError, WeightsError

CPU = torch.device("cpu")
NOWHERE = Path("nowhere")


def test_mean_leaves_registers_out():
    tokens = torch.tensor([[[1.0], [90.0], [2.0], [4.0]]])  # class, register, two image parts
    assert pool_tokens(tokens, how="class+mean", prefix=2).tolist() == [[1.0, 3.0]]
    assert pool_tokens(tokens, how="class", prefix=2).tolist() == [[1.0]]


def test_a_pooling_that_does_not_fit_says_so():
    with pytest.raises(ValueError, match=r"'class\+mean' does not fit an output of shape \(2, 5\)"):
        pool_tokens(torch.zeros(2, 5), how="class+mean", prefix=1)


@pytest.mark.parametrize("name", ["vit_tiny_random", "resnet10t_random"])
def test_random_weights_are_seeded_and_leave_the_global_seed_alone(name):
    card = load_card(CONFIG, "models", name)
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first, second = (build_encoder(card, name, NOWHERE) for _ in range(2))
    assert first[1] == second[1]
    assert (torch.random.get_rng_state() == before).all()
    assert build_encoder(card | {"weights": {"random": 1}}, name, NOWHERE)[1] != first[1]
    with torch.inference_mode():
        assert first[0](torch.rand(2, 3, 40, 40)).shape == (2, card["dim"])


def test_folds_start_from_different_weights_and_the_same_fold_from_the_same():
    card = load_card(CONFIG, "models", "resnet10t_random")
    built = [
        build_classifier(card, "resnet10t_random", NOWHERE, seed=seed, device=CPU)[0]
        for seed in (42, 42, 43)
    ]
    hashes = [state_hash(network) for network in built]
    assert hashes[0] == hashes[1] != hashes[2]
    assert built[0](torch.rand(2, 3, 40, 40)).shape == (2, 1)


def test_a_gated_model_without_access_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    with pytest.raises(
        WeightsError,
        match=r"uni is gated: accept its terms .* set HF_TOKEN, or put pytorch_model.bin at",
    ):
        build_encoder(load_card(CONFIG, "models", "uni"), "uni", tmp_path)


@pytest.mark.parametrize(
    ("name", "side", "said"),
    [
        (
            "h_optimus_0",
            64,
            r"takes patches of 224 px, not 64. Use a dataset card with `patch: \{side: 224\}`.$",
        ),
        ("gigapath", 64, "takes patches of 224 px, not 64.*, or a view `card-"),
        ("virchow2", 64, "takes multiples of 14 px, not 64.*side: 56"),
        ("phikon", 64, "takes patches of 224 px"),
    ],
)
def test_patches_that_a_network_cannot_take_are_refused_before_it_is_loaded(name, side, said):
    card = load_card(CONFIG, "models", name)
    with pytest.raises(CardError, match=said):
        check_side(card, name, side)
    check_side(card, name, 224)


def test_networks_that_take_any_size_are_let_through():
    for name in ("vit_tiny_random", "resnet10t_random", "resnet50_imagenet"):
        check_side(load_card(CONFIG, "models", name), name, 50)


def small(name: str, **changes: object) -> dict:
    card = load_card(CONFIG, "models", name)
    return card | {"arguments": card["arguments"] | changes}


def test_local_weights_load_strictly_and_misfits_are_named(tmp_path):
    card = small("uni", depth=1, embed_dim=64, num_heads=2)
    network = LOADERS["timm"](card)
    (tmp_path / "uni").mkdir()
    torch.save(network.state_dict(), tmp_path / "uni" / "pytorch_model.bin")
    encoder, weights = build_encoder(card, "uni", tmp_path)
    assert len(weights) == 64
    network.eval()
    with torch.inference_mode():
        pixels = torch.rand(1, 3, 224, 224)
        there = network((pixels - encoder.mean) / encoder.std)
        assert torch.equal(encoder(pixels), there)
    state = network.state_dict()
    state["blocks.0.ls3.gamma"] = state.pop("blocks.0.ls1.gamma")
    torch.save(state, tmp_path / "uni" / "pytorch_model.bin")
    with pytest.raises(
        WeightsError, match=r"(?s)pytorch_model.bin does not fit its card.*ls1.gamma.*ls3.gamma"
    ):
        build_encoder(card, "uni", tmp_path)


def old_names(state: dict) -> dict:
    """Rename a transformers 5 ViT to the names of the published checkpoints."""
    pairs = [("layers.", "encoder.layer."), ("attention.o_proj", "attention.output.dense")]
    pairs += [
        (f"attention.{n[0]}_proj", f"attention.attention.{n}") for n in ("query", "key", "value")
    ]
    pairs += [("mlp.fc1", "intermediate.dense"), ("mlp.fc2", "output.dense")]
    renamed = {}
    for key, value in state.items():
        for new, old in pairs:
            key = key.replace(new, old)
        renamed[key] = value.contiguous()
    return renamed


def test_phikons_published_names_load_and_misfits_are_named(tmp_path):
    card = small(
        "phikon", hidden_size=64, num_hidden_layers=2, num_attention_heads=2, intermediate_size=128
    )
    card["dim"] = 64
    network = LOADERS["transformers"](card).eval()
    for value in network.parameters():
        torch.nn.init.normal_(value, std=0.2)
    (tmp_path / "phikon").mkdir()
    state = old_names(network.state_dict())
    assert any("attention.attention.query" in key for key in state)
    save_file(state, tmp_path / "phikon" / "model.safetensors")
    encoder, _ = build_encoder(card, "phikon", tmp_path)
    with torch.inference_mode():
        pixels = torch.rand(2, 3, 224, 224)
        there = network((pixels - encoder.mean) / encoder.std).last_hidden_state[:, 0]
        assert torch.allclose(encoder(pixels), there, atol=1e-6)
    state.pop(next(key for key in state if "query.weight" in key))
    save_file(state, tmp_path / "phikon" / "model.safetensors")
    with pytest.raises(WeightsError, match=r"does not fit its card: .*missing"):
        build_encoder(card, "phikon", tmp_path)


def test_the_torchvision_checkpoint_loses_only_its_classifier(tmp_path):
    import torchvision

    card = load_card(CONFIG, "models", "resnet50_imagenet")
    (tmp_path / "resnet50_imagenet").mkdir()
    whole = torchvision.models.resnet50(weights=None).eval()
    torch.save(whole.state_dict(), tmp_path / "resnet50_imagenet" / card["weights"]["file"])
    encoder, _ = build_encoder(card, "resnet50_imagenet", tmp_path)
    whole.fc = torch.nn.Identity()
    with torch.inference_mode():
        pixels = torch.rand(1, 3, 64, 64)
        assert torch.equal(encoder(pixels), whole((pixels - encoder.mean) / encoder.std))


def test_cpu_is_obeyed_and_threads_are_set():
    assert pick_device("cpu").type == "cpu"
    use_threads(1)
    assert torch.get_num_threads() == 1
