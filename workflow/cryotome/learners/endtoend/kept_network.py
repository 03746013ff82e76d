"""Kept networks: what a training changed, and the encoder it is put back into."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.special import expit
from torch import Tensor, nn

from cryotome.core.cards import Card
from cryotome.core.errors import StoreError, WeightsError
from cryotome.encoders.encoder import Encoder
from cryotome.encoders.network import build_network
from cryotome.encoders.own_code import locate_code
from cryotome.encoders.weights_hash import code_file
from cryotome.learners.endtoend.classifier import WAYS, build_classifier
from cryotome.learners.endtoend.lora import adapters_of, load_logit, load_lora
from cryotome.learners.endtoend.training_data import centre_crops, load_weights, score_cells
from cryotome.learners.kept_file import Arrays, write_kept
from cryotome.learners.loop.batches import BatchLoader
from cryotome.runtime.environment import SITE

NETWORK = "network"


def write_network(
    path: Path, network: nn.Sequential, state: Mapping[str, Tensor], about: dict[str, Any]
) -> None:
    """Write the trained weights that a network holds; frozen ones are those of its encoder.

    Parameters
    ----------
    network
        An encoder and one logit, with these weights loaded.
    state
        Of `copy_weights`.
    about
        `encoder` and `head_card`, cards; `seed`, `precision`, `weights_sha256` and the rest.
    """
    if "lora" in about["head_card"]:
        state = adapters_of(network[0].get_submodule("network"), network[1])
    elif "last_blocks" in about["head_card"]:
        state = {name: state[name] for name in _trained(network)}
    arrays = {name: value.detach().cpu().numpy() for name, value in state.items()}
    write_kept(path, arrays, NETWORK, about)


def _trained(network: nn.Module) -> list[str]:
    return [name for name, weight in network.named_parameters() if weight.requires_grad]


@dataclass(frozen=True)
class KeptNetwork:
    """A trained network that scores patches.

    Attributes
    ----------
    about
        Its record.
    network
        From (n, 3, side, side) float in [0, 1] to logits (n, 1), on `device`.
    """

    about: dict[str, Any]
    network: nn.Sequential
    device: torch.device

    def score(self, patches: np.ndarray) -> np.ndarray:
        """Return P(second class) (n,) of patches (n, side, side, 3) uint8, RGB.

        Of larger squares, such as those of a patch store, the centre is seen.

        Raises
        ------
        StoreError
            The patches have another type, shape or a smaller side.
        """
        side = self.about["patch"]["side"]
        square = patches.ndim == 4 and patches.shape[1] == patches.shape[2] >= side
        if patches.dtype != np.uint8 or not square or patches.shape[3] != 3 or not len(patches):
            raise StoreError(
                f"Patches of shape {patches.shape} and type {patches.dtype} were given to a "
                f"network that sees {side} px. Give (n, {side}, {side}, 3) uint8, RGB."
            )
        loader = BatchLoader(torch.from_numpy(np.ascontiguousarray(patches)), self.device)
        how = {"precision": getattr(torch, self.about["precision"])}
        logits = score_cells(
            self.network,
            loader,
            np.arange(len(patches)),
            views=lambda batch, _: centre_crops(batch, side),
            **how,
        )
        return expit(logits.astype(float))


def load_network(
    arrays: Arrays, about: Card, path: Path, *, weights_dir: Path | None, device: str
) -> KeptNetwork:
    """Return the network of a file of `write_network`.

    Parameters
    ----------
    weights_dir
        Folder of encoder weights, which networks with frozen parts need; None: that of
        `CRYOTOME_WEIGHTS_DIR`, else `weights`.

    Raises
    ------
    WeightsError
        The encoder's weights are missing, or are not those that the network was trained on.
    StoreError
        The arrays are those of another network.
    EncoderError
        The encoder is own code that is missing or was edited, or code of a hub that is not allowed.
    """
    state = {name: torch.from_numpy(value) for name, value in arrays.items()}
    weights_dir = weights_dir or Path(os.environ.get(SITE["weights_dir"], "weights"))
    if WAYS.keys() & about["head_card"].keys():
        network = _on_frozen_encoder(state, about, path, weights_dir)
    else:
        card = locate_code(_with_own_file(about["encoder"], path), about["model"], weights_dir)
        with torch.random.fork_rng(devices=[]):
            encoder = Encoder(build_network(card, about["patch"]["side"]), card)
            network = nn.Sequential(encoder, nn.Linear(card["dim"], 1))
        _load_whole(network, state, path)
    network.to(memory_format=torch.channels_last).to(device)
    return KeptNetwork(about, network.eval(), torch.device(device))


def _load_whole(network: nn.Module, state: dict[str, Tensor], path: Path) -> None:
    try:
        load_weights(network, state)
    except (StoreError, RuntimeError) as error:
        raise StoreError(f"{path} holds the weights of another network: {error}") from error


def _on_frozen_encoder(
    state: dict[str, Tensor], about: Card, path: Path, folder: Path
) -> nn.Sequential:
    """Build the encoder with its own weights, and add what was trained."""
    how = {"side": about["patch"]["side"], "seed": about["seed"]}
    card, adapters = _with_own_file(about["encoder"], path), about["head_card"].get("lora")
    head = {} if adapters else about["head_card"]
    network, found = build_classifier(card, about["model"], folder, **how, head=head)
    if found != about["weights_sha256"]:
        raise WeightsError(
            f"{path} was trained on weights of {about['model']} with the sha256 "
            f"{about['weights_sha256']}, those below {folder} have {found}. Put the same there."
        )
    if adapters:
        bare = network[0].get_submodule("network")
        network[0].network = load_lora(state, adapters, bare, name=f"that of {path}")
        network[1] = load_logit(state)
        return network
    if differing := sorted(set(_trained(network)) ^ state.keys()):
        raise StoreError(f"{path} holds the weights of another network: see {differing[0]}.")
    network.load_state_dict(state, strict=False)
    return network


def _with_own_file(card: Card, path: Path) -> Card:
    """Return a card whose own code or weights made here have their place as seen from a model."""
    weights, base = card["weights"], path.resolve().parents[8]
    if "module" in card and "code" not in card and not code_file(card).is_file():
        return card | {"module": str(base / card["module"])}
    if "finetune" not in weights or Path(weights["file"]).is_file():
        return card
    return card | {"weights": weights | {"file": str(base / weights["file"])}}
