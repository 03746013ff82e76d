"""The backbone: a vision transformer of timm whose tokens can be replaced by a mask token."""

from math import isqrt
from pathlib import Path

import torch
from timm.layers import DropPath
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from cryotome.core.cards import Card
from cryotome.core.errors import CardError
from cryotome.encoders.checkpoint_file import read_checkpoint
from cryotome.encoders.convert import convert, resize_grid
from cryotome.encoders.encoder import build_encoder
from cryotome.encoders.network import token_side
from cryotome.encoders.weights import find_weights
from cryotome.study.geometry import Geometry

LOCAL_GRID_OFFSET = 0.1  # of the position grid of local crops, tokens, as in DINOv2's released code
MASK_TOKEN = "mask_token"


class MaskedViT(nn.Module):
    """Vision transformer that normalises its input and replaces hidden tokens by the mask token.

    Attributes
    ----------
    network
        The plain network, whose state dict a model card loads.
    grid
        Tokens along the side of a global crop, for which it has positions.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, network: VisionTransformer, normalise: Card, *, drop_path: float, recompute: bool
    ) -> None:
        super().__init__()
        self.network, self.recompute = network, recompute
        self.grid, self.dim = position_grid_side(network), network.embed_dim
        self.mask_token = nn.Parameter(torch.zeros(1, self.dim))
        for name, values in normalise.items():
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)
        if drop_path:
            for block in network.blocks:
                block.drop_path1, block.drop_path2 = DropPath(drop_path), DropPath(drop_path)

    def forward(self, views: Tensor, hidden: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the class token and the patch tokens of each view.

        Parameters
        ----------
        views : (n, 3, side, side) float in [0, 1]
            The side is a multiple of the side of a token, px.
        hidden : (n, tokens) bool
            Tokens that are replaced by the mask token, before positions are added.

        Returns
        -------
        class : (n, dim)
        tokens : (n, tokens, dim)
        """
        network, embed = self.network, self.network.patch_embed
        x = embed.proj((views - self.mean) / self.std).flatten(2).transpose(1, 2)
        x = embed.norm(x)  # (n, tokens, dim)
        if hidden is not None:
            x = torch.where(hidden[..., None], self.mask_token.to(x.dtype), x)
        assert network.cls_token is not None
        assert network.pos_embed is not None
        x = torch.cat([network.cls_token.expand(len(x), -1, -1), x], dim=1)
        position = resize_grid(network.pos_embed, count=x.shape[1], offset=LOCAL_GRID_OFFSET)
        x = network.norm_pre(x + position)
        for block in network.blocks:
            saves = self.recompute and torch.is_grad_enabled()
            x = checkpoint(block, x, use_reentrant=False) if saves else block(x)
        x = network.norm(x)
        return x[:, 0], x[:, 1:]


def build_backbone(base: Card, name: str, weights_dir: Path, card: Card) -> tuple[MaskedViT, str]:
    """Build the network of a model card as a backbone, with its weights.

    Positions are resized to the grid of a global crop once, bicubic without antialias and
    without offset, from 37 to 16, as Roth et al. 2024 do.

    Parameters
    ----------
    base, name
        The model card that is finetuned, and its name.
    card
        The finetuning card.

    Returns
    -------
    backbone
    hash
        sha256 of the weights file, or of random weights.

    Raises
    ------
    CardError
        The network is not a vision transformer with a class token and positions for the grid.
    WeightsError
        As `build_encoder`.
    """
    side = card["crops"]["global"]["side"]
    how = base.get("checkpoint", {})
    if "grid" in how:
        base = base | {"checkpoint": how | {"grid": how["grid"] | {"offset": 0}}}
    encoder, known = build_encoder(base, name, weights_dir, Geometry(side))
    network = _checked(encoder.network, name, card["crops"])
    recompute = card["activation_checkpointing"]
    backbone = MaskedViT(
        network, base["normalise"], drop_path=card["drop_path"], recompute=recompute
    )
    if "file" in base["weights"]:
        inside = {key: how[key] for key in ("inside", "keep") if key in how}
        state = convert(read_checkpoint(find_weights(base, name, weights_dir), name), inside, {})
        if MASK_TOKEN in state:  # which timm has no use for
            backbone.mask_token.data.copy_(state[MASK_TOKEN].view(1, -1))
    return backbone, known


def position_grid_side(network: VisionTransformer) -> int:
    """Return the number of tokens along a side for which a network has positions."""
    assert network.pos_embed is not None
    return isqrt(network.pos_embed.shape[1] - 1)


def _checked(network: nn.Module, name: str, crops: Card) -> VisionTransformer:
    if (
        not isinstance(network, VisionTransformer)
        or network.num_prefix_tokens != 1
        or network.pos_embed is None
        or network.no_embed_class
    ):
        raise CardError(
            f"{name} cannot be finetuned with DINOv2: it is not a vision transformer of timm with "
            "one class token and a position for each token. Choose another `base`."
        )
    step, whole = token_side(network), crops["global"]["side"]
    for kind in ("global", "local"):
        side = crops[kind]["side"]
        if side % step:
            raise CardError(
                f"{name} needs sides that are multiples of {step} px, and `crops: {{{kind}: "
                f"{{side: {side}}}}}` is not one. Write {max(step, side - side % step)}."
            )
    if (grid := position_grid_side(network)) != whole // step:
        raise CardError(
            f"{name} has positions for {grid} tokens along a side, and a global crop of {whole} px "
            f"has {whole // step}. Write `img_size: {whole}` under `arguments` of "
            "its card."
        )
    return network
