"""A model card becomes a network that turns patches into embeddings."""

import hashlib
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cryotome.cards import Card
from cryotome.errors import CardError, WeightsError
from cryotome.paths import sha256

# Names that cards may use where a constructor wants a class.
SYMBOLS: dict[str, Callable[[], Any]] = {
    "SwiGLUPacked": lambda: __import__("timm.layers", fromlist=["SwiGLUPacked"]).SwiGLUPacked,
    "SiLU": lambda: nn.SiLU,
    "LayerNorm_eps1e-6": lambda: partial(nn.LayerNorm, eps=1e-6),
}


def pool_tokens(output: Tensor, *, how: str, prefix: int) -> Tensor:
    """Pool what a network returns into one embedding per patch.

    Parameters
    ----------
    output : (n, dim) or (n, prefix + parts, dim) float
        Already pooled, or tokens: class, then registers, then one per image part.
    how
        `class`: the class token. `class+mean`: the class token beside the mean of the
        image tokens (paper 001, section 3, for Virchow and Virchow2). `built_in`: as is.
    prefix
        Class and register tokens, which the mean leaves out.

    Returns
    -------
    (n, dim) or (n, 2 * dim) float

    Raises
    ------
    ValueError
        `how` is unknown, or asks for tokens that the network does not return.
    """
    if how in ("built_in", "class") and output.ndim == 2:
        return output
    match how:
        case "class":
            return output[:, 0]
        case "class+mean" if output.ndim == 3:
            return torch.cat([output[:, 0], output[:, prefix:].mean(dim=1)], dim=1)
    raise ValueError(
        f"Pooling {how!r} does not fit an output of shape {tuple(output.shape)}; "
        "choose `class`, `class+mean` or `built_in` in the model's card."
    )


class Encoder(nn.Module):
    """Normalise, run the network, pool; the geometry of a patch is left alone."""

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, card: Card) -> None:
        super().__init__()
        self.network, self.how, self.prefix = network, card["pooling"], card["prefix_tokens"]
        for name, values in card["normalise"].items():
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)

    def forward(self, patches: Tensor) -> Tensor:
        """Map (n, 3, side, side) float in [0, 1] to (n, dim) float."""
        output = self.network((patches - self.mean) / self.std)
        output = getattr(output, "last_hidden_state", output)
        return pool_tokens(output, how=self.how, prefix=self.prefix)


def _timm(card: Card) -> nn.Module:
    import timm

    arguments = {
        key: SYMBOLS[value]() if isinstance(value, str) and value in SYMBOLS else value
        for key, value in card["arguments"].items()
    }
    return timm.create_model(card["architecture"], pretrained=False, **arguments)


def _torchvision(card: Card) -> nn.Module:
    import torchvision

    network = torchvision.models.get_model(card["architecture"], weights=None, **card["arguments"])
    network.fc = nn.Identity()
    return network


def _transformers(card: Card) -> nn.Module:
    import transformers

    network = getattr(transformers, card["architecture"])
    return network(network.config_class(**card["arguments"]), add_pooling_layer=False)


LOADERS: dict[str, Callable[[Card], nn.Module]] = {
    "timm": _timm,
    "torchvision": _torchvision,
    "transformers": _transformers,
}


def check_side(card: Card, name: str, side: int) -> None:
    """Stop before a network is given patches of a size that it cannot take.

    The architecture is built without weights and asked.

    Raises
    ------
    CardError
        The network takes another size only, or multiples of its own patch size.
    """
    with torch.device("meta"):
        network = LOADERS[card["loader"]](card)
    embed = getattr(network, "patch_embed", None)
    size = getattr(getattr(network, "config", None), "image_size", None)
    if embed is not None and getattr(embed, "strict_img_size", False):
        size = embed.img_size[0]
    if size and side != size:
        raise CardError(f"{name} takes patches of {size} px, not {side}. {_other_size(card, size)}")
    step = getattr(embed, "patch_size", [1])[0]
    if side % step and not getattr(embed, "dynamic_img_pad", False):
        near = side - side % step
        raise CardError(
            f"{name} takes multiples of {step} px, not {side}. {_other_size(card, near)}"
        )


def _other_size(card: Card, size: int) -> str:
    resizes = ", or a view `card-*`, whose transform resizes" if "transform" in card else ""
    return f"Use a dataset card with `patch: {{side: {size}}}`{resizes}."


def find_weights(card: Card, name: str, weights_dir: Path) -> Path:
    """Return the weights file: local first, else fetched from where the card says.

    Raises
    ------
    WeightsError
        The file is not at hand and cannot be fetched; the text says what to do.
    """
    weights = card["weights"]
    local = weights_dir / name / weights["file"]
    if local.exists():
        return local
    try:
        if "url" in weights:
            local.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(weights["url"], str(local), progress=True)
            return local
        from huggingface_hub import hf_hub_download

        return Path(hf_hub_download(weights["hub"], weights["file"]))
    except (OSError, ValueError) as error:  # huggingface_hub and urllib raise below OSError
        raise WeightsError(_way_out(card, name, local, type(error).__name__)) from error


def _way_out(card: Card, name: str, local: Path, why: str) -> str:
    weights = card["weights"]
    where = weights.get("hub") or weights["url"]
    terms = f"{name} is gated: accept its terms on the hub page of {where} and set HF_TOKEN"
    return (
        f"The weights of {name} ({where}) are not at hand and could not be fetched ({why}). "
        f"{f'{terms}, or p' if weights.get('gated') else 'P'}ut {local.name} at {local}."
    )


def _read_state(path: Path) -> dict[str, Tensor]:
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    return torch.load(path, map_location="cpu", weights_only=True)


def load_state(network: nn.Module, path: Path, card: Card) -> None:
    """Load a checkpoint strictly.

    Raises
    ------
    WeightsError
        A parameter is missing, unexpected or of another shape; its name is given.
    """
    state = _read_state(path)
    if card["loader"] == "torchvision":
        state = {key: value for key, value in state.items() if not key.startswith("fc.")}
    if card["loader"] == "transformers":
        # transformers renames old checkpoints itself, which a bare load_state_dict does not
        loaded, report = type(network).from_pretrained(  # type: ignore[attr-defined]
            None, config=network.config, state_dict=state, output_loading_info=True,
            add_pooling_layer=False,
        )  # fmt: skip
        odd = {kind: sorted(map(str, names)) for kind, names in report.items() if names}
        unexpected = [n for n in odd.pop("unexpected_keys", []) if not n.startswith("pooler.")]
        if odd or unexpected:
            raise WeightsError(f"{path} does not fit its card: {odd or unexpected}.")
        state = loaded.state_dict()
    try:
        network.load_state_dict(state, strict=True)
    except RuntimeError as error:
        raise WeightsError(f"{path} does not fit its card: {error}") from error


def state_hash(network: nn.Module) -> str:
    """Return a sha256 over names and values of all parameters and buffers."""
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def build_encoder(card: Card, name: str, weights_dir: Path) -> tuple[Encoder, str]:
    """Build the network of a card and give it its weights.

    Random weights are drawn from the card's seed and are the same on every machine.

    Returns
    -------
    encoder
        In evaluation mode, on the processor.
    hash
        sha256 of the weights file, or of the drawn weights.

    Raises
    ------
    WeightsError
        The weights are missing, or do not fit the architecture to the last key.
    """
    weights = card["weights"]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(weights.get("random", 0))
        network = LOADERS[card["loader"]](card)
    if "random" in weights:
        return Encoder(network, card).eval(), state_hash(network)
    path = find_weights(card, name, weights_dir)
    load_state(network, path, card)
    return Encoder(network, card).eval(), sha256(path)


def build_classifier(
    card: Card, name: str, weights_dir: Path, *, seed: int, device: torch.device
) -> tuple[nn.Module, str]:
    """Build an encoder with one logit on its embedding (2048 to 1 for a ResNet50), on a device.

    The new layer is drawn from `seed`; with random weights, so is the whole network:
    folds then differ in their start, as they do in their data.

    Returns and raises as `build_encoder`.
    """
    if isinstance(card["weights"], dict) and "random" in card["weights"]:
        card = card | {"weights": {"random": card["weights"]["random"] + seed}}
    encoder, weights_sha256 = build_encoder(card, name, weights_dir)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = nn.Sequential(encoder, nn.Linear(card["dim"], 1))
    return network.to(device).to(memory_format=torch.channels_last), weights_sha256


def pick_device(setting: str) -> torch.device:
    """Return the device for `device:` of the config: `cpu`, or the GPU where there is one."""
    found = setting != "cpu" and torch.cuda.is_available()
    return torch.device("cuda" if found else "cpu")


def use_threads(threads: int) -> None:
    """Let torch use as many processor threads as the scheduler granted."""
    torch.set_num_threads(threads)
    os.environ["OMP_NUM_THREADS"] = str(threads)
