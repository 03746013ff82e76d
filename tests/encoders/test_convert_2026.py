"""The published layouts of the encoders of 2026, with random weights, against definitions that share no code with ours."""

import pytest
import torch
from originals import CTransPath, DinoV2, shaken
from originals_2026 import CoCaPool, Musk, OpenClip, PathFm, PathoDuet, Plain, TwoScales
from tests.encoders.test_convert import apart, loaded, small
from torch import nn
from torch.nn import functional

from cryotome.core.errors import WeightsError
from cryotome.encoders.network import build_network

VIT = {"embed_dim": 32, "depth": 2, "num_heads": 4}
OF_HUB = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}


def named(start: str, network: nn.Module) -> dict[str, torch.Tensor]:
    return {start + name: value for name, value in network.state_dict().items()}


def quick_gelu(x: torch.Tensor) -> torch.Tensor:
    return x * (1.702 * x).sigmoid()


@pytest.mark.parametrize("name", ["quiltnet_b32", "quiltnet_b16", "pathgen_clip"])
def test_clip_as_open_clip_keeps_it(tmp_path, name):
    """Class token after the last LayerNorm, times a matrix that the file has transposed; not of length one."""
    card = small(name, dim=24, **VIT)
    card["pooler"]["arguments"]["widths"] = [32, 24]
    original = OpenClip(32, 4, 2, 24, patch=32 if "32" in name else 16, act=functional.gelu)
    state = named("visual.", shaken(original))
    state |= {
        "positional_embedding": torch.zeros(5, 8),
        "transformer.resblocks.0.x": torch.zeros(1),
    }
    state |= {"logit_scale": torch.zeros(()), "text_projection": torch.zeros(8, 24)}
    encoder = loaded(tmp_path, name, card, state)
    assert apart(encoder, original) < 1e-5
    with torch.inference_mode():
        assert (encoder(torch.rand(3, 3, 224, 224)).norm(dim=1) - 1).abs().max() > 0.01


@pytest.mark.parametrize("name", ["plip", "clip_vitl14", "pathgen_clip_l"])
def test_clip_as_the_hub_keeps_it(tmp_path, name):
    """transformers' own network says what is right: `image_embeds`, with QuickGELU."""
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    patch = 32 if name == "plip" else 14
    config = CLIPVisionConfig(
        **OF_HUB,
        intermediate_size=128,
        projection_dim=24,
        patch_size=patch,
        hidden_act="quick_gelu",
    )
    hub = shaken(CLIPVisionModelWithProjection(config))
    original = nn.Module()
    original.forward = lambda x: hub(x).image_embeds
    card = small(name, dim=24, **VIT)
    card["pooler"]["arguments"]["widths"] = [32, 24]
    state = hub.state_dict() | {"text_model.a": torch.zeros(1), "logit_scale": torch.zeros(())}
    state = {key: value for key, value in state.items() if not key.endswith("position_ids")}
    assert any(key.startswith("vision_model.embeddings.class_embedding") for key in state)
    assert apart(loaded(tmp_path, name, card, state), original) < 1e-5


def test_gelu_and_quick_gelu_are_told_apart(tmp_path):
    original = shaken(OpenClip(32, 4, 2, 24, patch=32, act=quick_gelu))
    card = small("quiltnet_b32", dim=24, **VIT)
    card["pooler"]["arguments"]["widths"] = [32, 24]
    encoder = loaded(tmp_path, "quiltnet_b32", card, named("visual.", original))
    assert apart(encoder, original) > 1e-4


def test_conch_v1_pools_class_token_and_patches_with_biases(tmp_path):
    card = small("conch_v1", dim=24, **VIT)
    card["pooler"]["arguments"] = {"dim": 32, "out": 24, "heads": 4}
    trunk, pool, norm = (
        Plain(32, 4, 2, patch=16, side=448, scaled=False),
        CoCaPool(32, 24, 4),
        nn.LayerNorm(24),
    )
    original = shaken(nn.Sequential(trunk, pool, norm))
    original.forward = lambda x: norm(pool(trunk.tokens(x)))
    state = named("visual.trunk.", trunk) | named("visual.attn_pool_contrast.", pool)
    state |= named("visual.ln_contrast.", norm) | {"visual.proj_contrast": torch.zeros(24, 24)}
    state |= {"text.a": torch.zeros(1), "visual.attn_pool_caption.query": torch.zeros(1)}
    assert apart(loaded(tmp_path, "conch_v1", card, state, side=448), original, side=448) < 1e-5


def test_keep_ends_in_two_layers_and_length_one(tmp_path):
    card = small("keep_vitl16", dim=24, **VIT)
    card["pooler"]["arguments"]["widths"] = [32, 24, 24]
    tower = Plain(32, 4, 2, patch=16, side=224, scaled=True)
    head = nn.Sequential(nn.Linear(32, 24), nn.GELU(), nn.Linear(24, 24))
    original = shaken(nn.Sequential(tower, head))
    original.forward = lambda x: functional.normalize(head(tower(x)), dim=-1)
    state = named("visual.", tower) | named("visual_head.", head) | {"text.a": torch.zeros(1)}
    state = {name.replace("gamma", "weight"): value for name, value in state.items()}
    assert apart(loaded(tmp_path, "keep_vitl16", card, state), original) < 1e-5


def test_genbio_sees_each_colour_alone(tmp_path):
    card = small("genbio_pathfm", dim=96, **VIT)
    original = shaken(PathFm(32, 4, 2, 128))
    encoder = loaded(tmp_path, "genbio_pathfm", card, original.state_dict())
    assert apart(encoder, original) < 1e-4


@pytest.mark.parametrize("name", ["musk", "musk_multiscale"])
def test_musk_is_the_image_branch_of_a_beit3(tmp_path, name):
    card = small(name, dim=64 if "multi" in name else 32, **VIT)
    tower = shaken(Musk(32, 4, 2))
    state = named("beit3.", tower) | {
        "vision_head.weight": torch.zeros(2),
        "logit_scale": torch.zeros(1),
    }
    original = TwoScales(tower) if "multi" in name else tower
    assert apart(loaded(tmp_path, name, card, state, side=384), original, side=384) < 1e-5


@pytest.mark.parametrize("prefix", ["", "backbone.", "encoder.", "model.encoder."])
@pytest.mark.parametrize("name", ["mascaret", "phaet"])
def test_a_wrapper_of_the_hub_may_have_any_prefix_and_gives_length_one(tmp_path, name, prefix):
    card = small(name, dim=32, **OF_HUB)
    hub = shaken(build_network(card))
    encoder = loaded(tmp_path, name, card, named(prefix, hub))
    original = nn.Module()
    original.forward = lambda x: functional.normalize(hub(x).last_hidden_state[:, 0], dim=-1)
    assert apart(encoder, original) < 1e-5  # transformers resizes the positions at run time


def test_the_patch_encoder_of_exaone_path(tmp_path):
    card = small("exaone_path_2_5", dim=32, **VIT)
    original = shaken(Plain(32, 4, 2, patch=14, side=224, scaled=False))
    state = named("patch_encoder.backbone.", original) | {"slide_encoder.a": torch.zeros(1)}
    assert apart(loaded(tmp_path, "exaone_path_2_5", card, state), original) < 1e-5


@pytest.mark.parametrize("name", ["mstar", "pathorchestra"])
def test_a_vit_of_timm_under_its_own_names(tmp_path, name):
    original = shaken(Plain(32, 4, 2, patch=16, side=224, scaled=True))
    assert (
        apart(loaded(tmp_path, name, small(name, dim=32, **VIT), original.state_dict()), original)
        < 1e-5
    )


def test_lunit_vits16(tmp_path):
    original = shaken(Plain(32, 4, 2, patch=16, side=224, scaled=False))
    card = small("lunit_vits16", dim=32, **VIT)
    assert apart(loaded(tmp_path, "lunit_vits16", card, original.state_dict()), original) < 1e-5


def test_chief_is_a_ctranspath(tmp_path):
    sizes = {"embed_dim": 16, "depths": (2, 2, 2, 2), "num_heads": (1, 2, 2, 4)}
    original = shaken(CTransPath(16, [1, 2, 2, 4], [2, 2, 2, 2]))
    card = small("chief_ctranspath", dim=128, **sizes)
    encoder = loaded(tmp_path, "chief_ctranspath", card, {"model": original.state_dict()})
    assert apart(encoder, original) < 1e-5


def test_lunits_resnets_have_no_classifier(tmp_path):
    import torchvision

    original = shaken(torchvision.models.resnet50(weights=None))
    original.fc = nn.Identity()
    name = "lunit_resnet50_bt"
    assert (
        apart(loaded(tmp_path, name, small(name, dim=2048), original.state_dict()), original) < 1e-5
    )


def test_dinobloom_is_the_teacher_of_a_dinov2(tmp_path):
    original = shaken(DinoV2(32, 4, 2, 128, grid=16))
    state = named("backbone.", original) | {"dino_head.a": torch.zeros(1)}
    card = small("dinobloom_s", dim=32, **VIT)
    assert apart(loaded(tmp_path, "dinobloom_s", card, {"teacher": state}), original) < 1e-5


@pytest.mark.parametrize("name", ["dinov2_vitb14", "dinov2_vitl14"])
def test_larger_dinov2_by_its_own_rule_for_positions(tmp_path, name):
    card = small(name, dim=32, **VIT)
    original = shaken(DinoV2(32, 4, 2, 128, grid=37))
    assert apart(loaded(tmp_path, name, card, original.state_dict()), original) < 1e-5


NEW_NAMES = [("embeddings.patch_embeddings.projection", "patch_embed.proj"), ("embeddings.", "")]
NEW_NAMES += [("position_embeddings", "pos_embed"), ("register_tokens", "reg_token")]
NEW_NAMES += [("encoder.layer.", "blocks."), ("layers.", "blocks."), ("layernorm.", "norm.")]
NEW_NAMES += [("layer_scale1.lambda1", "ls1.gamma"), ("layer_scale2.lambda1", "ls2.gamma")]


def test_positions_of_dinov2_with_registers_are_resized_with_antialias(tmp_path):
    """As transformers does for these: the rule of `dinov2_vitb14` would be wrong by far more than rounding."""
    from transformers import Dinov2WithRegistersConfig, Dinov2WithRegistersModel

    config = Dinov2WithRegistersConfig(
        **OF_HUB, patch_size=14, image_size=518, num_register_tokens=4, layer_norm_eps=1e-6
    )
    hub = shaken(Dinov2WithRegistersModel(config))
    state, joined = {}, {}
    for key, value in hub.state_dict().items():
        for old, new in NEW_NAMES:
            key = key.replace(old, new)
        state[key] = value
    for key, value in state.items():
        if "q_proj" in key:
            parts = [value, *(state[key.replace("q_proj", o)] for o in ("k_proj", "v_proj"))]
            joined[key.replace("attention.q_proj", "attn.qkv")] = torch.cat(parts)
        elif not any(other in key for other in ("k_proj", "v_proj", "mask_token")):
            joined[key.replace("attention.o_proj", "attn.proj")] = value
    position = joined.pop("pos_embed")
    joined["cls_token"] = joined["cls_token"] + position[:, :1]  # as timm keeps it
    joined["pos_embed"] = position[:, 1:]
    original = nn.Module()
    original.forward = lambda x: hub(x).last_hidden_state[:, 0]
    card = small("dinov2_vits14_reg", dim=32, **VIT)
    assert apart(loaded(tmp_path, "dinov2_vits14_reg", card, joined), original) < 1e-5


def test_crowns_blocks_lie_in_chunks_and_have_gates(tmp_path):
    card = small("crown", dim=32, **VIT, patch_size=14, mlp_ratio=4)
    original = shaken(DinoV2(32, 4, 2, 64, grid=16, gated=True))
    state = {}
    for name, value in original.state_dict().items():
        if name.startswith("blocks."):
            _, block, rest = name.split(".", 2)
            name = f"blocks.{int(block) // 2}.{block}.{rest}"
        state[name] = value
    assert apart(loaded(tmp_path, "crown", card, state), original) < 1e-5


def test_pathoduet_averages_patches_whatever_the_order_of_its_two_first_tokens(tmp_path):
    original = shaken(PathoDuet(32, 4, 2))
    with torch.no_grad():
        original.pos_embed[:, :2] = 0
    state = original.state_dict() | {"head.weight": torch.zeros(2, 2)}
    card = small("pathoduet_he", dim=32, **VIT)
    assert apart(loaded(tmp_path, "pathoduet_he", card, state), original) < 1e-5


OF_MM = [("embeddings.cls_token", "cls_token"), ("embeddings.patch_embeddings", "patch_embed")]
OF_MM += [("attention.o_proj", "attn.proj"), ("attention.q_proj.bias", "attn.q_bias")]
OF_MM += [("attention.v_proj.bias", "attn.v_bias"), ("mlp.fc1", "ffn.layers.0.0")]
OF_MM += [("mlp.fc2", "ffn.layers.1"), ("layernorm_before", "ln1"), ("layernorm_after", "ln2")]
OF_MM += [("lambda_", "gamma_"), ("shared_position_bias.", "rel_pos_bias.")]


def test_beph_shares_one_table_of_relative_positions(tmp_path):
    """Named as mmselfsup does, computed by transformers' BEiT; a mean, then a LayerNorm of no learnt scale."""
    from transformers import BeitConfig, BeitModel

    config = BeitConfig(
        **OF_HUB, intermediate_size=128, use_shared_relative_position_bias=True, layer_norm_eps=1e-6
    )
    hub = shaken(BeitModel(config, add_pooling_layer=False))
    state, raw = {}, hub.state_dict()
    for key, value in raw.items():
        if key.endswith("q_proj.weight"):
            parts = [raw[key.replace("q_proj", part)] for part in ("q_proj", "k_proj", "v_proj")]
            state[key.replace("attention.q_proj", "attn.qkv")] = torch.cat(parts)
        elif not any(o in key for o in ("k_proj", "v_proj.weight", "mask_token", "layernorm.")):
            for old, new in OF_MM:
                key = key.replace(old, new)
            state[key] = value
    original = nn.Module()

    def forward(x: torch.Tensor) -> torch.Tensor:
        last = hub(x, output_hidden_states=True).hidden_states[-1]
        return functional.layer_norm(last[:, 1:].mean(dim=1), (32,), eps=1e-6)

    original.forward = forward
    card = small("beph", dim=32, **VIT)
    content = {"state_dict": {f"backbone.{key}": value for key, value in state.items()}}
    assert apart(loaded(tmp_path, "beph", card, content), original) < 1e-5


def test_a_step_that_names_what_the_file_has_not_says_so(tmp_path):
    card = small("musk", dim=32, **VIT)
    card["checkpoint"]["leading_axes"] = ["positions"]
    state = named("beit3.", shaken(Musk(32, 4, 2)))
    with pytest.raises(WeightsError, match="it has no 'positions', but 'pos_embed'"):
        loaded(tmp_path, "musk", card, state, side=384)
