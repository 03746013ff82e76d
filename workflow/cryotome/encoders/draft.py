"""Drafts: model cards written from a hub's own files, counted, with what is not known marked."""

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import torch
import yaml
from torch import nn

from cryotome.core.cards import Card
from cryotome.core.errors import CardError
from cryotome.encoders.convert import rename_by_transformers
from cryotome.encoders.hub_folder import HubFolder, Shapes
from cryotome.encoders.network import build_bare, count_prefix_tokens, on_meta
from cryotome.encoders.profile import profile_encoder

NOT_KNOWN = "NOT KNOWN: "
GUESS = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}  # ImageNet's
BILINEAR, BICUBIC = 2, 3  # PIL's numbers, which preprocessor configs hold
SHOWN = 6
# keys of configs of transformers that say nothing about the tokens of an encoder
UNUSED = {"stage_names", "encoder_stride", "pooler_output_size"}


@dataclass
class Draft:
    """A card, and what stands above its keys for a person to settle."""

    card: Card
    unknown: dict[str, str]

    def text(self) -> str:
        """Return the card as YAML, a comment above each key that could not be known."""
        parts = []
        for key, value in self.card.items():
            if key in self.unknown:
                parts.append(f"# {NOT_KNOWN}{self.unknown[key]}\n")
            flow = None if isinstance(value, dict) else False  # a mapping of values on one line
            parts.append(yaml.safe_dump({key: value}, sort_keys=False, default_flow_style=flow))
        return "".join(parts)


def draft_card(hub: HubFolder, name: str) -> Draft:
    """Write the card of a repository and count its network, built without weights.

    Parameters
    ----------
    name
        Of the card, for its title.

    Raises
    ------
    CardError
        Its architecture is in no library, or is one of images and texts.
    """
    card, unknown = _described(hub, name)
    card |= _architecture(hub.config)
    network = _bare(card)
    card |= _pooling(card, network, unknown)
    card |= {"dim": 1, "parameters": 1, "gflops": 1.0}
    normalise = _normalise(hub, unknown)
    if (side := _input(hub)) != 224:
        card["input"] = side
    card |= {"normalise": normalise} | _transform(hub, unknown)
    if how := _checkpoint(network, _translated(card, network, hub.shapes)):
        card["checkpoint"] = how
    counted = profile_encoder(card)
    return Draft(card | counted, unknown)


def _described(hub: HubFolder, name: str) -> tuple[Card, dict[str, str]]:
    page = f"https://huggingface.co/{hub.hub}" if hub.hub else "a folder"
    unknown = {"source": "the paper: who, when, where."}
    licence = hub.licence or (hub.config.get("pretrained_cfg") or {}).get("license", "")
    if not licence:
        unknown["licence"] = "its page or its repository says it."
    unknown["weights"] = "whether terms must be accepted (`gated`); null is: not known."
    weights: Card = {"hub": hub.hub or "owner/name", "file": hub.file or "model.safetensors"}
    if hub.revision:
        weights["revision"] = hub.revision
    if not hub.hub:
        unknown["weights"] = "the address. " + unknown["weights"]
    return {
        "title": name,
        "source": f"model page, {page}",
        "licence": licence or "not known",
        "weights": weights | {"gated": None},
    }, unknown


def _architecture(config: dict[str, Any]) -> Card:
    if "architecture" in config:  # timm's
        arguments = (config.get("model_args") or {}) | {"num_classes": 0}
        return {"loader": "timm", "architecture": config["architecture"], "arguments": arguments}
    import transformers

    kind, known = str(config.get("model_type")), transformers.CONFIG_MAPPING
    if "vision_config" in config:
        raise CardError(
            f"Its config.json is one of images and texts ({kind}), whose embedding is after a "
            "projection. Copy a card that has a `linear` pooler, and its `checkpoint`."
        )
    if kind not in known or known[kind] not in transformers.MODEL_MAPPING:
        ships = " It ships code of its own." if "auto_map" in config else ""
        raise CardError(
            f"Its config.json names an architecture that neither timm nor transformers has: "
            f"model_type {kind!r}, {config.get('architectures')}.{ships} Build it of their parts, "
            "or as code of your own: docs/guides/add-a-model.md."
        )
    network: Any = transformers.MODEL_MAPPING[known[kind]]
    own, base = vars(known[kind]()), vars(transformers.PretrainedConfig())
    said = known[kind].from_dict(config)
    arguments = {
        key: getattr(said, key)
        for key, value in own.items()
        if key not in base and key[0] != "_" and getattr(said, key) != value
    }
    arguments = {k: v for k, v in arguments.items() if k not in UNUSED}
    if hasattr(said, "image_size"):
        arguments["image_size"] = said.image_size
    return {
        "loader": "transformers", "architecture": network.__name__, "arguments": arguments,
    }  # fmt: skip


def _pooling(card: Card, network: nn.Module, unknown: dict[str, str]) -> Card:
    known = count_prefix_tokens(network)
    prefix = known or 0
    if card["loader"] == "timm":
        how = "class" if getattr(network, "global_pool", None) == "token" else "built_in"
    else:
        how = "class" if prefix else "map_mean" if known is None else "mean"
    if prefix:
        unknown["pooling"] = "papers take the class token, or the mean beside it (`class+mean`)."
        if how == "built_in":
            unknown["pooling"] += (
                " timm averages here: for the class token write `global_pool: token` under "
                "`arguments`."
            )
    return {"pooling": how, "prefix_tokens": prefix}


def _normalise(hub: HubFolder, unknown: dict[str, str]) -> Card:
    timm, other = hub.config.get("pretrained_cfg") or {}, hub.preprocessor
    mean, std = (
        timm.get("mean") or other.get("image_mean"),
        timm.get("std") or other.get("image_std"),
    )
    if mean and std:
        return {"mean": list(mean), "std": list(std)}
    unknown["normalise"] = "no file says it; these are ImageNet's."
    return dict(GUESS)


def _input(hub: HubFolder) -> int:
    timm = hub.config.get("pretrained_cfg") or {}
    if size := hub.config.get("image_size"):  # what transformers builds its position grid for
        return int(size)
    size = (timm.get("input_size") or [3, 224])[-1]
    return int(_processed(hub) or size)


def _processed(hub: HubFolder) -> int:
    """Return the side of the images that a hub's processor makes, px; 0 where it says none."""
    cropped = hub.preprocessor.get("crop_size") or hub.preprocessor.get("size") or {}
    side = cropped.get("height") or cropped.get("shortest_edge") if isinstance(cropped, dict) else 0
    return int(side or 0)


def _transform(hub: HubFolder, unknown: dict[str, str]) -> Card:
    """Return the geometry of timm's config or of a preprocessor."""
    timm, other = hub.config.get("pretrained_cfg") or {}, hub.preprocessor
    side, how = _input(hub), "bicubic"
    resize: Any = None
    if timm:
        resize, how = int(side / timm.get("crop_pct", 1.0)), timm.get("interpolation", how)
    elif size := other.get("size"):
        resize = size.get("shortest_edge") or [size["height"], size["width"]]
        how = {BILINEAR: "bilinear"}.get(other.get("resample", BICUBIC), "bicubic")
    else:
        unknown["normalise"] = (
            unknown.get("normalise", "") + " Nor is there a transform: none here."
        )
        return {}
    crops = _processed(hub)
    if crops and crops != side:
        unknown["input"] = (
            f"its processor makes {crops} px, and its position grid is for {side} px, which this "
            f"card takes by a view `fit-*`. For {crops} px write `image_size: {crops}` under "
            "`arguments`, and `grid` under `checkpoint` as `midnight_12k` does, if the authors' "
            "code resizes the grid in that way."
        )
        return {}
    unknown["transform"] = "of the hub's config; the authors' page or code may say another."
    crop = None if isinstance(resize, list) else side
    return {"transform": {"card": {"resize": resize, "interpolation": how, "crop": crop}}}


def _checkpoint(network: nn.Module, shapes: Shapes) -> Card:
    """Return the steps that a plain wrapper or a classifier asks for: `keep` and `drop`."""
    wanted = set(network.state_dict())
    some = next(iter(wanted & {"cls_token", "pos_embed"} or wanted), "")
    starts = {n.removesuffix(some) for n in shapes if n.endswith(some)} | {""}
    start = max(
        starts, key=lambda s: len(wanted & {n.removeprefix(s) for n in shapes if n.startswith(s)})
    )
    names = {n.removeprefix(start) for n in shapes if n.startswith(start)}
    extra = sorted(names - wanted) if wanted & names else []
    heads = {n.partition(".")[0] for n in extra} - {n.partition(".")[0] for n in wanted}
    drop = sorted(f"{h}.*" if any(n.startswith(f"{h}.") for n in extra) else h for h in heads)
    return ({"keep": start} if start else {}) | ({"drop": drop} if drop else {})


def differences(card: Card, shapes: Shapes) -> list[str]:
    """Return what differs between a card and its network, and between the network and a file.

    Parameters
    ----------
    shapes
        Of the file's parameters; empty where it is not at hand. A `checkpoint` beyond `keep`
        and `drop` is not followed.
    """
    lines = [
        f"{key}: the card says {card[key]}, the network has {value}"
        for key, value in profile_encoder(card).items()
        if abs(card[key] - value) > 0.06
    ]
    how = card.get("checkpoint", {})
    if not shapes or how.keys() - {"keep", "drop", "unused"}:
        return lines
    network = _bare(card)
    wanted = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    start = how.get("keep", "")
    named = {n.removeprefix(start): s for n, s in shapes.items() if n.startswith(start)}
    out = how.get("drop", [])
    named = {n: s for n, s in named.items() if not any(fnmatchcase(n, p) for p in out)}
    named = _translated(card, network, named)
    both = wanted.keys() & named.keys()
    kinds = {
        "not in the file": sorted(wanted.keys() - named.keys()),
        "not in the network": sorted(named.keys() - wanted.keys()),
        "of another shape": [
            f"{n} {named[n]} for {wanted[n]}" for n in sorted(both) if named[n] != wanted[n]
        ],
    }
    return lines + [f"{kind}: {_shown(names)}" for kind, names in kinds.items() if names]


def _translated(card: Card, network: nn.Module, shapes: Shapes) -> Shapes:
    """Let transformers translate names of its older versions, of tensors without numbers."""
    if card["loader"] != "transformers" or not shapes:
        return shapes
    empty = {name: torch.zeros(()).expand(shape) for name, shape in shapes.items()}
    return {k: tuple(v.shape) for k, v in rename_by_transformers(network, empty).items()}


def _bare(card: Card) -> nn.Module:
    """Build the network of a card without pooler, weights and numbers.

    Raises
    ------
    CardError
        The library does not take its architecture or arguments.
    """
    with on_meta():
        return build_bare(card)


def _shown(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def card_name(hub: str) -> str:
    """Return the name of a card for a repository or a folder.

    >>> card_name("MahmoodLab/UNI2-h"), card_name("folder/phikon-v2/")
    ('uni2_h', 'phikon_v2')
    """
    return re.sub(r"[^a-z0-9]+", "_", hub.rstrip("/").rpartition("/")[2].lower()).strip("_")
