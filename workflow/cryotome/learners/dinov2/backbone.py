"""A vision transformer of timm that can hide tokens from itself."""

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

LOCAL_OFFSET = 0.1  # of the position grid of local crops, in DINOv2's own code
MASK = "mask_token"


class MaskedViT(nn.Module):
    """Normalise, hide tokens behind the mask token, run the transformer.

    Attributes
    ----------
    network
        The plain network: its state dict is what a model card loads.
    grid
        Tokens along the side of a global crop, for which it holds positions.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, network: VisionTransformer, normalise: Card, *, drop_path: float, again: bool
    ) -> None:
        super().__init__()
        self.network, self.again = network, again
        self.grid, self.dim = grid_of(network), network.embed_dim
        self.mask_token = nn.Parameter(torch.zeros(1, self.dim))
        for name, values in normalise.items():
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)
        if drop_path:
            for block in network.blocks:
                block.drop_path1, block.drop_path2 = DropPath(drop_path), DropPath(drop_path)

    def forward(self, views: Tensor, hidden: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Embed views.

        Parameters
        ----------
        views : (n, 3, side, side) float in [0, 1]
            Of any side that is a multiple of what a token stands for, px.
        hidden : (n, tokens) bool
            Tokens that the mask token takes the place of, before positions are added.

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
        position = resize_grid(network.pos_embed, count=x.shape[1], offset=LOCAL_OFFSET)
        x = network.norm_pre(x + position)
        for block in network.blocks:
            saves = self.again and torch.is_grad_enabled()
            x = checkpoint(block, x, use_reentrant=False) if saves else block(x)
        x = network.norm(x)
        return x[:, 0], x[:, 1:]


def build_backbone(base: Card, name: str, weights_dir: Path, card: Card) -> tuple[MaskedViT, str]:
    """Build the network of a model card as a student, with its weights.

    Positions are resized to the grid of a global crop once, bicubic without antialias and
    without offset, as Roth et al. 2024 do: 37 to 16.

    Parameters
    ----------
    base, name
        The model card that is finetuned, and its name.
    card
        The finetune card.

    Returns
    -------
    backbone
    hash
        sha256 of the weights file, or of drawn weights.

    Raises
    ------
    CardError
        The network is no vision transformer with a class token and positions for the grid.
    WeightsError
        As `build_encoder`.
    """
    side = card["crops"]["global"]["side"]
    how = base.get("checkpoint", {})
    if "grid" in how:
        base = base | {"checkpoint": how | {"grid": how["grid"] | {"offset": 0}}}
    encoder, known = build_encoder(base, name, weights_dir, Geometry(side))
    network = _checked(encoder.network, name, card["crops"])
    again = card["activation_checkpointing"]
    backbone = MaskedViT(network, base["normalise"], drop_path=card["drop_path"], again=again)
    if "file" in base["weights"]:
        inside = {key: how[key] for key in ("inside", "keep") if key in how}
        state = convert(read_checkpoint(find_weights(base, name, weights_dir), name), inside, {})
        if MASK in state:  # which timm has no use for
            backbone.mask_token.data.copy_(state[MASK].view(1, -1))
    return backbone, known


def grid_of(network: VisionTransformer) -> int:
    """Return for how many tokens along a side a network has positions."""
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
            f"{name} cannot be finetuned this way: it is no vision transformer of timm with one "
            "class token and a position for each token. Choose another `base`."
        )
    step, whole = token_side(network), crops["global"]["side"]
    for kind in ("global", "local"):
        side = crops[kind]["side"]
        if side % step:
            raise CardError(
                f"{name} takes multiples of {step} px, and `crops: {{{kind}: {{side: {side}}}}}` "
                f"is none. Write {max(step, side - side % step)}."
            )
    if grid_of(network) != whole // step:
        raise CardError(
            f"{name} has positions for {grid_of(network)} tokens along a side, and a global crop "
            f"of {whole} px has {whole // step}. Write `img_size: {whole}` under `arguments` of "
            "its card."
        )
    return network
