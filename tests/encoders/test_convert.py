"""Published layouts, with random weights, against definitions that share no code with ours."""

import pytest
import torch
from conftest import CONFIG
from originals import (
    ConchPool,
    CTransPath,
    DinoV2,
    HfViT,
    ImageBindVision,
    SamEncoder,
    shaken,
)
from safetensors.torch import save_file

from cryotome.core.cards import load_card
from cryotome.core.errors import WeightsError
from cryotome.encoders.convert import check_fit, convert, resize_grid
from cryotome.encoders.encoder import Encoder, build_encoder
from cryotome.encoders.network import build_network
from cryotome.study.geometry import geometry_of


def small(name: str, *, dim: int, **arguments: object) -> dict:
    """A model's card with a smaller network; everything else is the card's own."""
    card = load_card(CONFIG, "models", name)
    card["weights"].pop("sha256", None)
    return card | {"arguments": card["arguments"] | arguments, "dim": dim}


def put(folder, name: str, card: dict, content: dict) -> None:
    path = folder / name / card["weights"]["file"]
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".safetensors":
        save_file({key: value.contiguous() for key, value in content.items()}, path)
    else:
        torch.save(content, path)


def loaded(folder, name: str, card: dict, content: dict, *, side: int = 224) -> Encoder:
    put(folder, name, card, content)
    return build_encoder(card, name, folder, geometry_of(card, "paper-fp32", side))[0]


def apart(encoder: Encoder, original: torch.nn.Module, *, side: int = 224) -> float:
    """The largest difference between two networks, relative to the spread of what they say."""
    torch.manual_seed(1)
    pixels = torch.rand(2, 3, side, side)
    with torch.inference_mode():
        mine, theirs = encoder(pixels), original((pixels - encoder.mean) / encoder.std)
    assert mine.shape == theirs.shape
    assert theirs.std(dim=0).mean() > 1e-6, "two patches must not look the same"
    return float((mine - theirs).abs().max() / theirs.abs().max())


def test_ctranspath(tmp_path):
    card = small("ctranspath", dim=128, embed_dim=16, depths=(2, 2, 2, 2), num_heads=(1, 2, 2, 4))
    original = shaken(CTransPath(16, [1, 2, 2, 4], [2, 2, 2, 2]))
    state = original.state_dict()
    assert sum("downsample" in name for name in state) == 9
    assert any(name.endswith("relative_position_index") for name in state)
    encoder = loaded(tmp_path, "ctranspath", card, {"model": state})
    assert apart(encoder, original) < 1e-5


def test_imagebind(tmp_path):
    card = small("imagebind_vit_h", dim=24, embed_dim=32, depth=3, num_heads=4)
    card["pooler"]["arguments"]["widths"] = [32, 24]
    original = shaken(ImageBindVision(32, 4, 3, 24, grid=16))
    encoder = loaded(tmp_path, "imagebind_vit_h", card, original.published())
    assert apart(encoder, original) < 1e-5
    with torch.inference_mode():
        lengths = encoder(torch.rand(3, 3, 224, 224)).norm(dim=1)
    assert lengths.tolist() == pytest.approx([1, 1, 1], abs=1e-6)


def test_retccl(tmp_path):
    import torchvision

    original = shaken(torchvision.models.resnet50(weights=None))
    original.fc = torch.nn.Identity()
    card = small("retccl", dim=2048)
    assert len(original.state_dict()) == 318
    encoder = loaded(tmp_path, "retccl", card, original.state_dict(), side=256)
    assert apart(encoder, original, side=256) < 1e-5


def test_truncated_resnet50_is_everything_below_layer_4(tmp_path):
    import torchvision

    whole = shaken(torchvision.models.resnet50(weights=None))
    card = small("resnet50_layer3", dim=1024)
    encoder = loaded(tmp_path, "resnet50_layer3", card, whole.state_dict())
    parts = [*list(whole.children())[:-3], torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()]
    assert apart(encoder, torch.nn.Sequential(*parts)) < 1e-5


def test_sam(tmp_path):
    sizes = {"img_size": 256, "embed_dim": 32, "num_heads": 2, "depth": 3}
    card = small("sam_vit_b", dim=256, **sizes, global_attn_indexes=(1,), window_size=7)
    card.pop("transform")
    original = shaken(SamEncoder(32, 2, grid=16, window=7, whole={1}))
    state = {f"image_encoder.{name}": value for name, value in original.state_dict().items()}
    state["mask_decoder.iou_token.weight"] = torch.zeros(1, 3)
    encoder = loaded(tmp_path, "sam_vit_b", card, state, side=256)
    assert apart(encoder, original, side=256) < 1e-5


def test_phikon_to_timm_and_to_transformers(tmp_path):
    original = shaken(HfViT(32, 4, 2, 64, grid=14))
    state = original.state_dict()
    there = small("phikon_timm", dim=32, embed_dim=32, depth=2, num_heads=4, mlp_ratio=2)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    here = small("phikon", dim=32, **sizes, intermediate_size=64)
    for name, card in (("phikon_timm", there), ("phikon", here)):
        assert apart(loaded(tmp_path, name, card, state), original) < 1e-5


DINO = {"embed_dim": 32, "depth": 4, "num_heads": 4}


@pytest.mark.parametrize("side", [224, 252, 518])
def test_dinov2_at_every_size_by_its_own_rule_for_positions(tmp_path, side):
    card = small("dinov2_vits14", dim=32, **DINO)
    card.pop("transform")
    original = shaken(DinoV2(32, 4, 4, 128, grid=37))
    encoder = loaded(tmp_path, "dinov2_vits14", card, original.state_dict(), side=side)
    assert apart(encoder, original, side=side) < 1e-5


def test_dinov2_gated_with_registers(tmp_path):
    """OpenMidnight: the class token has a position in the file, and none in timm's network."""
    sizes = {"embed_dim": 32, "depth": 2, "num_heads": 4, "mlp_ratio": 4}
    card = small("openmidnight", dim=32, **sizes)
    original = shaken(DinoV2(32, 4, 2, 64, grid=16, registers=4, gated=True))
    encoder = loaded(tmp_path, "openmidnight", card, original.state_dict())
    assert apart(encoder, original) < 1e-5


@pytest.mark.parametrize("chunks", [False, True])
def test_dinov2_as_a_teacher_in_a_training_checkpoint(tmp_path, chunks):
    card = small("dinov2_s_nct_published", dim=32, **DINO)
    original = shaken(DinoV2(32, 4, 4, 128, grid=16))
    state = {}
    for name, value in original.state_dict().items():
        if chunks and name.startswith("blocks."):
            _, block, rest = name.split(".", 2)
            name = f"blocks.{int(block) // 2}.{block}.{rest}"
        state[f"backbone.{name}"] = value
    state["dino_head.mlp.0.weight"] = torch.zeros(2, 2)
    encoder = loaded(tmp_path, "dinov2_s_nct_published", card, {"teacher": state})
    assert apart(encoder, original) < 1e-5


def test_conch_pools_all_tokens_with_one_query(tmp_path):
    card = small("conch_v1_5", dim=24, embed_dim=32, depth=2, num_heads=4)
    card["pooler"]["arguments"] = {"dim": 32, "out": 24, "heads": 4}
    trunk, pool, norm = build_network(card).trunk, ConchPool(32, 24, 4), torch.nn.LayerNorm(24)
    original = shaken(torch.nn.Sequential(trunk, pool, norm))
    parts = {"trunk.": trunk, "attn_pool_contrast.": pool, "ln_contrast.": norm}
    state = {s + name: v for s, part in parts.items() for name, v in part.state_dict().items()}
    assert apart(loaded(tmp_path, "conch_v1_5", card, state), original) < 1e-5


def test_conchs_grid_grows_to_448_px(tmp_path):
    card = small("conch_v1_5", dim=24, embed_dim=32, depth=1, num_heads=4)
    card["pooler"]["arguments"] = {"dim": 32, "out": 24, "heads": 4}
    network = shaken(build_network(card))
    state = {
        name.replace("pooler.norm.", "ln_contrast.").replace("pooler.", "attn_pool_contrast."): v
        for name, v in network.state_dict().items()
    }
    encoder = loaded(tmp_path, "conch_v1_5", card, state, side=448)
    old, new = network.trunk.pos_embed, encoder.network.trunk.pos_embed
    square = old[:, 1:].reshape(1, 14, 14, -1).permute(0, 3, 1, 2)
    square = torch.nn.functional.interpolate(square, scale_factor=28.1 / 14, mode="bicubic")
    assert square.shape[2:] == (28, 28)
    assert torch.equal(new[:, 0], old[:, 0])
    assert torch.allclose(new[:, 1:], square.flatten(2).transpose(1, 2), atol=1e-6)


def test_the_grid_of_a_transformers_network_is_resized_too(tmp_path):
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4}
    card = small("midnight_12k", dim=64, **sizes)
    large = card | {"arguments": card["arguments"] | {"image_size": 518}}
    network = shaken(build_network(large))
    encoder = loaded(tmp_path, "midnight_12k", card, network.state_dict())
    assert encoder.network.embeddings.position_embeddings.shape[1] == 257
    with torch.inference_mode():
        pixels = torch.rand(1, 3, 224, 224)
        theirs = network((pixels - 0.5) / 0.5).last_hidden_state  # resizes at run time
        assert encoder(pixels)[:, :32] == pytest.approx(theirs[:, 0], abs=1e-5)


@pytest.mark.parametrize("name", ["data2vec_vit_b", "beit_vit_b"])
def test_what_the_embedding_does_not_need_may_lack_and_nothing_else(tmp_path, name):
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    card = small(name, dim=32, **sizes, intermediate_size=64)
    network = shaken(build_network(card))
    state = {k: v for k, v in network.state_dict().items() if not k.startswith("layernorm.")}
    assert len(state) < len(network.state_dict())
    encoder = loaded(tmp_path, name, card, state | {"lm_head.bias": torch.zeros(3)})
    x = (torch.rand(1, 3, 224, 224) - 0.5) / 0.5
    with torch.inference_mode():
        middle = network(x, output_hidden_states=True).hidden_states[2][:, 1:].mean(1)
        assert encoder(x * 0.5 + 0.5) == pytest.approx(middle, abs=1e-5)
    gone = next(k for k in state if "intermediate" in k or "fc1" in k)
    put(tmp_path, name, card, {k: v for k, v in state.items() if k != gone})
    with pytest.raises(WeightsError, match=r"does not fit the card .*missing: "):
        build_encoder(card, name, tmp_path, geometry_of(card, "paper-fp32", 224))


NETWORK = {"a.weight": torch.zeros(2, 3), "b.bias": torch.zeros(4)}


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({"a.weight": torch.zeros(2, 3)}, r"^missing: 'b.bias'$"),
        (NETWORK | {"c": torch.zeros(1)}, r"^unexpected: 'c'$"),
        (NETWORK | {"b.bias": torch.zeros(5)}, r"^misshapen: 'b.bias \(5,\) for \(4,\)'$"),
        ({"x": torch.zeros(1)}, r"^missing: 'a.weight', 'b.bias'; unexpected: 'x'$"),
    ],
)
def test_each_misfit_is_named(state, said):
    with pytest.raises(WeightsError, match=said):
        check_fit(state, NETWORK, [])


def test_a_missing_entry_says_what_the_file_has():
    with pytest.raises(WeightsError, match="it has no 'teacher', but 'student', 'optimizer'"):
        convert({"student": {}, "optimizer": {}}, {"inside": "teacher"}, {})
    with pytest.raises(WeightsError, match="it has no 'b.key.0'"):
        convert({"b.query.0": torch.zeros(1)}, {"join": {"b.q.{}": ["b.query.{}", "b.key.{}"]}}, {})


PUBLISHED = [("layers.", "encoder.layer."), ("attention.o_proj", "attention.output.dense")]
PUBLISHED += [
    (f"attention.{n[0]}_proj", f"attention.attention.{n}") for n in ("query", "key", "value")
]


@pytest.mark.parametrize("name", ["hibou_b", "midnight_12k", "phikon_v2"])
def test_the_names_of_published_dinov2_checkpoints_of_the_hub_load(tmp_path, name):
    """Older transformers called attention and the gated layer otherwise; values decide."""
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    card = small(name, dim=64 if name == "midnight_12k" else 32, **sizes)
    network = shaken(build_network(card))
    state, present = {}, network.state_dict()
    for key, value in present.items():
        if "gate_proj" in key:  # gate and value were one layer
            value = torch.cat([value, present[key.replace("gate", "up")]])
            key = key.replace("gate_proj", "weights_in")
        for new, old in [*PUBLISHED, ("down_proj", "weights_out")]:
            key = key.replace(new, old)
        if "up_proj" not in key:
            state[key] = value
    assert any("attention.attention.query" in key for key in state)
    assert any("weights_in" in key for key in state) == (name != "phikon_v2")
    encoder = loaded(tmp_path, name, card, state)
    with torch.inference_mode():
        pixels = torch.rand(1, 3, 224, 224)
        theirs = network((pixels - encoder.mean) / encoder.std).last_hidden_state
        assert encoder(pixels)[:, :32] == pytest.approx(theirs[:, 0], abs=1e-5)


def test_a_beginning_that_no_name_has_says_what_the_file_has():
    with pytest.raises(WeightsError, match=r"no name in it begins 'backbone.'; it has 'cls_token'"):
        convert({"cls_token": torch.zeros(1)}, {"keep": "backbone."}, {})


@pytest.mark.parametrize(("old", "new"), [(37, 39), (37, 43), (14, 61), (37, 16)])
def test_a_grid_gets_the_size_that_is_asked_for_whatever_the_rounding(old, new):
    for offset in (0.0, 0.1):
        position = torch.randn(1, old * old + 1, 2)
        assert resize_grid(position, count=new * new + 1, offset=offset).shape[1] == new * new + 1


def test_a_grid_of_the_right_size_is_left_alone_and_prefix_tokens_stay():
    position = torch.randn(1, 5 + 16, 3)
    assert resize_grid(position, count=21, offset=0.1) is position
    grown = resize_grid(position, count=5 + 36, offset=0.0)
    assert torch.equal(grown[:, :5], position[:, :5])
    assert grown.shape == (1, 41, 3)
