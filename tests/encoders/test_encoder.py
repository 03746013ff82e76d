from pathlib import Path

import pytest
import torch
from conftest import CONFIG
from tests.encoders.test_network import small
from torchvision.io import ImageReadMode, decode_image

from cryotome.core.cards import load_card
from cryotome.encoders.encoder import Encoder, build_encoder
from cryotome.encoders.network import build_network, token_side
from cryotome.encoders.transforms import transform_patches
from cryotome.encoders.weights import find_weights
from cryotome.study.geometry import Geometry, geometry_of

NOWHERE = Path("nowhere")


SEEN = Geometry(40, "paper")


LARGE = Geometry(224, "paper")


@pytest.mark.parametrize("name", ["vit_tiny_random", "resnet10t_random"])
def test_random_weights_are_seeded_and_leave_the_global_seed_alone(name):
    card = load_card(CONFIG, "models", name)
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first, second = (build_encoder(card, name, NOWHERE, SEEN) for _ in range(2))
    assert first[1] == second[1]
    assert (torch.random.get_rng_state() == before).all()
    assert build_encoder(card | {"weights": {"random": 1}}, name, NOWHERE, SEEN)[1] != first[1]
    with torch.inference_mode():
        assert first[0](torch.rand(2, 3, 40, 40)).shape == (2, card["dim"])


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


@pytest.mark.large
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
            if type(network).__name__ == "ConvNeXt":  # its head normalises the mean
                there = network.head.norm(there[..., None, None]).flatten(1)
        else:
            there = features
        assert torch.allclose(pooled, there, atol=1e-5)


def test_the_torchvision_checkpoint_loses_only_its_classifier(tmp_path):
    import torchvision

    card = load_card(CONFIG, "models", "resnet50_imagenet")
    (tmp_path / "resnet50_imagenet").mkdir()
    whole = torchvision.models.resnet50(weights=None).eval()
    torch.save(whole.state_dict(), tmp_path / "resnet50_imagenet" / card["weights"]["file"])
    encoder, _ = build_encoder(card, "resnet50_imagenet", tmp_path, LARGE)
    whole.fc = torch.nn.Identity()
    with torch.inference_mode():
        pixels = torch.rand(1, 3, 64, 64)
        assert torch.equal(encoder(pixels), whole((pixels - encoder.mean) / encoder.std))


LITE = {"efficientnet_lite0": 224, "efficientnet_lite1": 240, "efficientnet_lite2": 260}


def original(name: str, card: dict, side: int) -> torch.nn.Module:
    """Return the network of the package that its weights were converted for."""
    from efficientnet_lite_pytorch import EfficientNet

    path = find_weights(card, name, NOWHERE)
    name = name.replace("_", "-")
    return EfficientNet.from_pretrained(name, weights_path=str(path), image_size=side).eval()


def real_patches(shared: Path, side: int) -> torch.Tensor:
    """Return eight mitotic figures in their tissue, resized to a side in px, values 0 to 1."""
    folders = [shared / "amibr" / kind for kind in ("Atypical", "Normal")]
    paths = [path for folder in folders for path in sorted(folder.glob("*.png"))[:4]]
    images = torch.stack([decode_image(str(path), ImageReadMode.RGB) for path in paths])
    return transform_patches(images, Geometry(128, "fit", [side, side], "bicubic"))


@pytest.mark.parametrize("name", LITE)
def test_embeddings_of_real_patches_are_those_of_the_original_implementation(name, shared):
    card = load_card(CONFIG, "models", name)
    for side in (64, 96, LITE[name]):
        patches = real_patches(shared, side)
        encoder, _ = build_encoder(card, name, NOWHERE, Geometry(side))
        with torch.inference_mode():
            theirs = original(name, card, side).extract_features(patches * 2 - 1).mean((2, 3))
            mine = encoder(patches)
        assert mine.shape == (8, 1280)
        assert mine.std(0).mean() > 0.05, "patches differ"
        assert (mine - theirs).abs().max() < 1e-5


@pytest.mark.parametrize("name", LITE)
def test_a_palace_is_seen_as_a_palace(name):
    """The photograph of scikit-learn is the Summer Palace in Beijing, CC-BY 2.0."""
    from sklearn.datasets import load_sample_image
    from timm.data import ImageNetInfo

    card = load_card(CONFIG, "models", name)
    how = card.pop("checkpoint")  # the classifier, too, which the embedding leaves out
    card |= {"arguments": {}, "checkpoint": {"rename": [*how["rename"], ["^_fc", "classifier"]]}}
    geometry = geometry_of(card, "card-fp32", 224)
    encoder, _ = build_encoder(card, name, NOWHERE, geometry)
    photograph = torch.tensor(load_sample_image("china.jpg")).permute(2, 0, 1)[None]
    with torch.inference_mode():
        seen = encoder(transform_patches(photograph, geometry)).argmax().item()
    assert ImageNetInfo().index_to_description(seen) == "palace"
