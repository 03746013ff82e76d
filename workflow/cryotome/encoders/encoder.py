"""Encoders: networks with their weights, which turn patches into embeddings."""

import hashlib
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from cryotome.core.cards import Card
from cryotome.core.errors import EncoderError
from cryotome.encoders.convert import load_state
from cryotome.encoders.network import build_network, require_input_side
from cryotome.encoders.own_code import locate_code, try_out
from cryotome.encoders.pooling import pool_tokens
from cryotome.encoders.views import join_views, split_views
from cryotome.encoders.weights import find_weights, verify_sha256
from cryotome.encoders.weights_hash import with_code
from cryotome.study.geometry import Geometry


class Encoder(nn.Module):
    """Normalise colours, run the network, pool; patches are neither resized nor cropped.

    A network that sees several images of each patch runs once on all of them.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, card: Card) -> None:
        super().__init__()
        self.network, self.pooling, self.prefix = network, card["pooling"], card["prefix_tokens"]
        self.views, self.unit_length = card.get("views", ""), card.get("unit_length", False)
        for name, values in card["normalise"].items():
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)

    def forward(self, patches: Tensor) -> Tensor:
        """Map (n, 3, side, side) float in [0, 1] to (n, dim) float."""
        seen = split_views((patches - self.mean) / self.std, self.views)
        output = join_views(self._compute(seen), self.views)
        pooled = pool_tokens(output, how=self.pooling, prefix=self.prefix)
        return functional.normalize(pooled, dim=1) if self.unit_length else pooled

    def _compute(self, x: Tensor) -> Tensor:
        """Return what the network makes of images: an embedding, tokens or a map."""
        if self.pooling == "mean_before_norm":
            output = self.network(x, output_hidden_states=True).hidden_states[-1]
        else:
            output = self.network(x)
        output = getattr(output, "last_hidden_state", output)
        output = output[-1] if isinstance(output, list) else output  # the last feature map
        if not isinstance(output, Tensor):
            raise EncoderError(
                f"The network returns a {type(output).__name__}, and a tensor is needed: (n, dim), "
                "tokens (n, tokens, dim) or a map (n, dim, height, width). Correct its code."
            )
        return output


def state_hash(network: nn.Module) -> str:
    """Return a sha256 over names and values of all parameters and buffers."""
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def build_encoder(
    card: Card, name: str, weights_dir: Path, geometry: Geometry
) -> tuple[Encoder, str]:
    """Build the network of a card for the images of a geometry, and load its weights.

    Random weights are drawn from the card's seed and are the same on every machine.

    Returns
    -------
    encoder
        In evaluation mode, on the CPU.
    hash
        sha256 of the weights file, or of the drawn weights; with own code also that of the code.

    Raises
    ------
    CardError
        The network takes patches of another size.
    WeightsError
        The weights are missing, or do not fit the architecture exactly.
    EncoderError
        Own code is missing, not allowed or faulty, or gives embeddings of another shape.
    """
    require_input_side(card, name, geometry)
    card, weights = locate_code(card, name, weights_dir), card["weights"]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(weights.get("random", 0))
        network = build_network(card, geometry.seen)
    if "random" in weights:
        known = state_hash(network)
    else:
        path = find_weights(card, name, weights_dir)
        known = verify_sha256(path, card)
        load_state(network, path, card, name)
    encoder = Encoder(network, card).eval()
    if "module" in card:
        try_out(encoder, card, name, geometry.seen)
    return encoder, with_code(known, card)
