import pytest
import timm
import torch
from conftest import CONFIG
from small_dino import base_card, finetune_card
from torch.nn.functional import interpolate

from cryotome.core.cards import load_card
from cryotome.core.errors import CardError
from cryotome.encoders.network import build_network
from cryotome.learners.dinov2.backbone import MASK_TOKEN, build_backbone


def built(tmp_path, card=None, **arguments):
    return build_backbone(base_card(**arguments), "small", tmp_path, card or finetune_card())[0]


def seeded(*shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


def plainly(backbone, views, hidden):
    """Return what timm's own layers give, one token after the other."""
    network, normalised = backbone.network, (views - backbone.mean) / backbone.std
    x = network.patch_embed.proj(normalised)  # (n, dim, grid, grid)
    tokens = []
    for row in range(x.shape[2]):
        for column in range(x.shape[3]):
            token = x[:, :, row, column]
            masked = hidden[:, row * x.shape[3] + column, None]
            tokens.append(backbone.mask_token * masked + token * ~masked)
    x = torch.stack([network.cls_token[:, 0].expand(len(views), -1), *tokens], dim=1)
    x = x + network.pos_embed
    for block in network.blocks:
        x = block(x)
    return network.norm(x)


def test_a_masked_pass_is_that_of_a_plain_writing(tmp_path):
    backbone = built(tmp_path).eval()
    backbone.mask_token.data.normal_(generator=torch.Generator().manual_seed(1))
    views, hidden = seeded(3, 3, 28, 28), seeded(3, 16) < 0.4
    whole, tokens = backbone(views, hidden)
    real = plainly(backbone, views, hidden)
    assert torch.allclose(whole, real[:, 0], atol=1e-5)
    assert torch.allclose(tokens, real[:, 1:], atol=1e-5)


def test_without_masks_it_is_the_encoder_that_the_rules_embed_with(tmp_path):
    backbone, views = built(tmp_path).eval(), seeded(2, 3, 28, 28)
    embedded = backbone.network((views - backbone.mean) / backbone.std)
    assert torch.equal(backbone(views)[0], embedded)


def test_hidden_tokens_are_not_seen(tmp_path):
    backbone = built(tmp_path).eval()
    views, hidden = seeded(1, 3, 28, 28), torch.zeros(1, 16, dtype=torch.bool)
    hidden[0, 0] = True
    changed = views.clone()
    changed[..., :7, :7] = 0
    assert torch.equal(backbone(views, hidden)[0], backbone(changed, hidden)[0])
    assert not torch.equal(backbone(views)[0], backbone(changed)[0])


def test_local_positions_are_those_of_the_released_code(tmp_path):
    """A factor of (2 + 0.1) / 4, bicubic, no antialias."""
    backbone, views = built(tmp_path).eval(), seeded(2, 3, 14, 14)
    network = backbone.network
    grid = network.pos_embed[:, 1:].view(1, 4, 4, -1).permute(0, 3, 1, 2)
    small = interpolate(grid, scale_factor=(2.1 / 4, 2.1 / 4), mode="bicubic", antialias=False)
    position = torch.cat([network.pos_embed[:, :1], small.flatten(2).transpose(1, 2)], dim=1)
    x = network.patch_embed.proj((views - backbone.mean) / backbone.std).flatten(2).transpose(1, 2)
    x = torch.cat([network.cls_token.expand(2, -1, -1), x], dim=1) + position
    for block in network.blocks:
        x = block(x)
    assert torch.allclose(backbone(views)[0], network.norm(x)[:, 0], atol=1e-5)


@pytest.fixture
def released(tmp_path):
    """A file as DINOv2 releases it: 37 x 37 positions and a mask token."""
    card = load_card(CONFIG, "models", "dinov2_vits14") | {"dim": 32}
    small = {"embed_dim": 32, "depth": 2, "num_heads": 2}
    card |= {"arguments": card["arguments"] | small}
    state = build_network(card).state_dict()
    state = {name: torch.randn_like(value) for name, value in state.items()}
    state[MASK_TOKEN] = torch.randn(1, 32)
    path = tmp_path / "small" / card["weights"]["file"]
    path.parent.mkdir()
    torch.save(state, path)
    return card, state


def test_released_positions_are_resized_once_without_offset_and_the_mask_token_is_kept(
    released, tmp_path
):
    base, state = released
    card = finetune_card()
    card |= {"crops": load_card(CONFIG, "finetunings", "dinov2_s_nct")["crops"]}
    backbone, _ = build_backbone(base, "small", tmp_path, card)
    grid = state["pos_embed"][:, 1:].view(1, 37, 37, -1).permute(0, 3, 1, 2)
    real = interpolate(grid, scale_factor=(16 / 37, 16 / 37), mode="bicubic", antialias=False)
    found = backbone.network.pos_embed[:, 1:].view(1, 16, 16, -1).permute(0, 3, 1, 2)
    assert torch.allclose(found, real, atol=1e-6)
    assert torch.equal(backbone.network.pos_embed[:, 0], state["pos_embed"][:, 0])
    assert torch.equal(backbone.mask_token.data, state[MASK_TOKEN])
    assert backbone.grid == 16


def test_activations_made_again_give_the_same_gradients(tmp_path):
    found = []
    for again in (False, True):
        backbone = built(tmp_path, finetune_card(activation_checkpointing=again)).train()
        backbone(seeded(2, 3, 28, 28))[0].sum().backward()
        found.append([weight.grad for weight in backbone.network.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_paths_are_dropped_in_training_only(tmp_path):
    backbone, views = built(tmp_path, finetune_card(drop_path=0.5)), seeded(8, 3, 28, 28)
    torch.manual_seed(0)
    passes = [backbone.train()(views)[0] for _ in range(2)]
    assert not torch.equal(*passes)
    assert torch.equal(backbone.eval()(views)[0], backbone(views)[0])


def test_networks_that_cannot_be_masked_are_refused(tmp_path):
    other = load_card(CONFIG, "models", "resnet10t_random")
    with pytest.raises(CardError, match="it is not a vision transformer of timm with one class"):
        build_backbone(other, "resnet", tmp_path, finetune_card())


def test_crops_of_a_wrong_size_are_refused(tmp_path):
    crops = finetune_card()["crops"]
    odd = finetune_card(crops=crops | {"local": {"side": 16, "scale": [0.1, 0.4]}})
    with pytest.raises(CardError, match=r"side: 16}}` is not one. Write 14"):
        built(tmp_path, odd)
    larger = finetune_card(crops=crops | {"global": {"side": 56, "scale": [0.4, 1]}})
    with pytest.raises(
        CardError, match="has positions for 4 tokens along a side, and a global crop of 56 px has 8"
    ):
        built(tmp_path, larger)


def test_a_giant_has_the_blocks_that_are_masked_here():
    """ViT-g is built on no memory; its gates are SiLU gates."""
    card = load_card(CONFIG, "models", "dinov2_vitg14")
    with torch.device("meta"):
        network = build_network(card, 224)
    assert isinstance(network, timm.models.vision_transformer.VisionTransformer)
    assert len(network.blocks) == 40
    assert network.num_prefix_tokens == 1
