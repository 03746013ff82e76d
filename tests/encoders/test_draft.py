"""Drafts from folders that timm and transformers wrote themselves, at tiny sizes."""

import json

import pytest
import timm
import torch
import transformers
import yaml
from safetensors.torch import save_file
from timm.models import save_for_hf

from cryotome.core.errors import CardError
from cryotome.core.schemas import validate
from cryotome.encoders.draft import NOT_KNOWN, card_name, differences, draft_card
from cryotome.encoders.hub_folder import read_hub

SMALL = {"depth": 4, "embed_dim": 48, "num_heads": 4}
OF_HUB = {"hidden_size": 48, "num_hidden_layers": 4, "num_attention_heads": 4}


def of_timm(folder, name: str, **arguments) -> str:
    network = timm.create_model(name, num_classes=5, **arguments)
    save_for_hf(network, folder, model_args=arguments, safe_serialization=True)
    return str(folder)


def of_transformers(folder, kind: str, **arguments) -> str:
    network = getattr(transformers, f"{kind}Model")
    network(network.config_class(**arguments)).save_pretrained(folder)
    return str(folder)


def drafted(place: str) -> tuple[dict, dict, list[str]]:
    hub = read_hub(place)
    draft = draft_card(hub, "mine")
    card = yaml.safe_load(draft.text())
    return validate(card, "model", "mine.yaml"), draft.unknown, differences(card, hub.shapes)


def test_a_vit_of_timm_with_a_classifier(tmp_path):
    place = of_timm(tmp_path / "x", "vit_small_patch16_224", **SMALL, init_values=1e-5)
    card, unknown, differs = drafted(place)
    assert differs == []
    assert card["checkpoint"] == {"drop": ["head.*"]}
    assert (card["pooling"], card["prefix_tokens"], card["dim"]) == ("class", 1, 48)
    assert card["normalise"] == {"mean": [0.5] * 3, "std": [0.5] * 3}
    assert card["transform"]["card"] == {"resize": 248, "interpolation": "bicubic", "crop": 224}
    assert card["arguments"]["num_classes"] == 0
    assert set(unknown) == {"source", "weights", "pooling", "transform"}
    assert card["licence"] == "apache-2.0"


def test_a_network_that_averages_says_how_to_get_the_class_token(tmp_path):
    place = of_timm(tmp_path / "x", "vit_small_patch16_dinov3", **SMALL)
    card, unknown, differs = drafted(place)
    assert (card["pooling"], card["prefix_tokens"], differs) == ("built_in", 5, [])
    assert "`global_pool: token`" in unknown["pooling"]


def test_a_convolutional_network_has_no_tokens(tmp_path):
    card, unknown, differs = drafted(of_timm(tmp_path / "x", "resnet10t"))
    assert (card["pooling"], card["prefix_tokens"], differs) == ("built_in", 0, [])
    assert "pooling" not in unknown


@pytest.mark.parametrize(
    ("kind", "arguments", "prefix"),
    [
        ("Dinov2", {"patch_size": 16}, 1),
        ("Dinov2WithRegisters", {"num_register_tokens": 3, "use_swiglu_ffn": True}, 4),
        ("ViT", {"intermediate_size": 96}, 1),
    ],
)
def test_a_network_of_transformers_under_the_names_of_its_files(tmp_path, kind, arguments, prefix):
    place = of_transformers(tmp_path / "x", kind, **OF_HUB, image_size=224, **arguments)
    card, unknown, differs = drafted(place)
    assert differs == []
    assert card["architecture"] == f"{kind}Model"
    assert card.get("checkpoint") == ({"drop": ["pooler.*"]} if kind == "ViT" else None)
    assert card["arguments"] == OF_HUB | {"image_size": 224} | arguments
    assert (card["pooling"], card["prefix_tokens"], card["dim"]) == ("class", prefix, 48)
    assert unknown["normalise"].startswith("no file says it; these are ImageNet's.")


def test_a_preprocessor_gives_statistics_and_geometry(tmp_path):
    place = of_transformers(tmp_path / "x", "Dinov2", **OF_HUB, image_size=518)
    said = {"image_mean": [0.5] * 3, "image_std": [0.4] * 3, "resample": 2}
    said |= {"size": {"shortest_edge": 256}, "crop_size": {"height": 224, "width": 224}}
    (tmp_path / "x" / "preprocessor_config.json").write_text(json.dumps(said), encoding="utf-8")
    card, unknown, _ = drafted(place)
    assert card["normalise"] == {"mean": [0.5] * 3, "std": [0.4] * 3}
    assert "normalise" not in unknown
    assert (card["input"], "transform" in card) == (518, False)
    assert unknown["input"].startswith("its processor makes 224 px, and its position grid is for 5")
    place = of_transformers(tmp_path / "y", "Dinov2", **OF_HUB, image_size=224)
    (tmp_path / "y" / "preprocessor_config.json").write_text(json.dumps(said), encoding="utf-8")
    card, unknown, _ = drafted(place)
    assert card["transform"]["card"] == {"resize": 256, "interpolation": "bilinear", "crop": 224}
    assert "input" not in card | unknown


def test_a_wrapper_and_a_head_become_steps_of_the_checkpoint(tmp_path):
    place = of_timm(tmp_path / "x", "vit_small_patch16_224", **SMALL)
    network = timm.create_model("vit_small_patch16_224", num_classes=0, **SMALL)
    state = {f"model.backbone.{k}": v for k, v in network.state_dict().items()}
    state["model.backbone.dino_head.a"] = torch.zeros(2)
    for path in (tmp_path / "x").glob("*.safetensors"):
        save_file(state, path)
    for path in (tmp_path / "x").glob("*.bin"):
        torch.save(state, path)
    card, _, differs = drafted(place)
    assert card["checkpoint"] == {"keep": "model.backbone.", "drop": ["dino_head.*"]}
    assert differs == []


def test_what_differs_is_named(tmp_path):
    place = of_timm(tmp_path / "x", "vit_small_patch16_224", **SMALL)
    hub = read_hub(place)
    card = draft_card(hub, "mine").card | {"dim": 50, "parameters": 7}
    shapes = dict(hub.shapes) | {"norm.bias": (3,), "extra": (1,)}
    shapes.pop("cls_token")
    lines = differences(card, shapes)
    assert lines[0].startswith("parameters: the card says 7, the network has ")
    assert lines[1:] == [
        "dim: the card says 50, the network has 48",
        "not in the file: cls_token",
        "not in the network: extra",
        "of another shape: norm.bias (3,) for (48,)",
    ]
    assert differences(card | {"checkpoint": {"inside": "teacher"}}, shapes) == lines[:2]


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (
            {"model_type": "secret", "auto_map": {}},
            r"neither timm nor transformers has: model_type 'secret'.*It ships code",
        ),
        (
            {"model_type": "clip", "vision_config": {}},
            r"images and texts \(clip\).*`linear` pooler",
        ),
        ({"architecture": "no_such_vit"}, r"timm does not build 'no_such_vit'"),
        (
            {"architecture": "resnet10t", "model_args": {"width": 5}},
            r"timm does not build .*'width': 5",
        ),
        ({}, "model_type 'None'"),
    ],
)
def test_what_cannot_be_built_says_why_and_what_to_do(tmp_path, config, said):
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(CardError, match=said):
        draft_card(read_hub(str(tmp_path)), "mine")


def test_every_unknown_key_is_marked_above_it(tmp_path):
    draft = draft_card(read_hub(of_timm(tmp_path / "x", "resnet10t")), "mine")
    lines = draft.text().splitlines()
    for key in draft.unknown:
        at = next(n for n, line in enumerate(lines) if line.startswith(f"{key}:"))
        assert lines[at - 1].startswith(f"# {NOT_KNOWN}"), key
    assert card_name("Owner/My-Model.v2") == "my_model_v2"
