"""The original definitions of published encoders, written from their descriptions.

They share no code with timm or with the converters: the tests give them random weights, save
those as the published file lays them out, and compare.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional


def shaken(network: nn.Module, seed: int = 0) -> nn.Module:
    """Draw every parameter and running statistic, so that none is a harmless 0 or 1."""
    torch.manual_seed(seed)
    for name, value in network.state_dict().items():
        if value.is_floating_point() and not name.endswith("attn_mask"):
            fresh = torch.randn_like(value) * 0.05 + float(
                name.endswith("weight") and value.ndim == 1
            )
            value.copy_(fresh.abs() + 0.5 if "running_var" in name else fresh)
    return network.eval()


class Mlp(nn.Module):
    def __init__(self, dim: int, hidden: int, names: tuple[str, str] = ("fc1", "fc2")) -> None:
        super().__init__()
        self.names = names
        self.add_module(names[0], nn.Linear(dim, hidden))
        self.add_module(names[1], nn.Linear(hidden, dim))

    def forward(self, x: Tensor) -> Tensor:
        first, second = (getattr(self, name) for name in self.names)
        return second(functional.gelu(first(x)))


class SwiGLU(nn.Module):
    """DINOv2: w12 gives gate and value, w3 closes."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.w12, self.w3 = nn.Linear(dim, 2 * hidden), nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        gate, value = self.w12(x).chunk(2, dim=-1)
        return self.w3(functional.silu(gate) * value)


class Attention(nn.Module):
    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads, self.qkv, self.proj = heads, nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        n, tokens, dim = x.shape
        q, k, v = self.qkv(x).view(n, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        weights = (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).softmax(-1)
        return self.proj((weights @ v).transpose(1, 2).reshape(n, tokens, dim))


class Scale(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


class DinoBlock(nn.Module):
    def __init__(self, dim: int, heads: int, hidden: int, *, gated: bool) -> None:
        super().__init__()
        self.norm1, self.attn, self.ls1 = nn.LayerNorm(dim, 1e-6), Attention(dim, heads), Scale(dim)
        self.norm2, self.ls2 = nn.LayerNorm(dim, 1e-6), Scale(dim)
        self.mlp = SwiGLU(dim, hidden) if gated else Mlp(dim, hidden)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.ls1(self.attn(self.norm1(x)))
        return x + self.ls2(self.mlp(self.norm2(x)))


class DinoV2(nn.Module):
    """Meta's DINOv2: positions of class and patches, registers after the class token.

    The 37 x 37 positions are resized by (n + 0.1) / 37, bicubic, without antialias.
    """

    def __init__(
        self, dim: int, heads: int, depth: int, hidden: int, *, grid: int, registers: int = 0,
        gated: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.grid = grid
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + grid**2, dim))
        if registers:
            self.register_tokens = nn.Parameter(torch.zeros(1, registers, dim))
        self.mask_token = nn.Parameter(torch.zeros(1, dim))
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, dim, 14, 14)})
        self.blocks = nn.ModuleList(
            [DinoBlock(dim, heads, hidden, gated=gated) for _ in range(depth)]
        )
        self.norm = nn.LayerNorm(dim, 1e-6)

    def positions(self, side: int) -> Tensor:
        if side == self.grid:
            return self.pos_embed
        square = self.pos_embed[:, 1:].reshape(1, self.grid, self.grid, -1).permute(0, 3, 1, 2)
        factor = (side + 0.1) / self.grid
        square = functional.interpolate(square, scale_factor=(factor, factor), mode="bicubic")
        return torch.cat([self.pos_embed[:, :1], square.flatten(2).transpose(1, 2)], dim=1)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patch_embed["proj"](x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.cls_token.expand(len(x), -1, -1), tokens], dim=1)
        tokens = tokens + self.positions(x.shape[-1] // 14)
        if hasattr(self, "register_tokens"):
            extra = self.register_tokens.expand(len(x), -1, -1)
            tokens = torch.cat([tokens[:, :1], extra, tokens[:, 1:]], dim=1)
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens)[:, 0]


class HfAttention(nn.Module):
    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        inner = {name: nn.Linear(dim, dim) for name in ("query", "key", "value")}
        self.attention = nn.ModuleDict(inner)
        self.output = nn.ModuleDict({"dense": nn.Linear(dim, dim)})

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (
            self.attention[name](x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for name in ("query", "key", "value")
        )
        weights = (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).softmax(-1)
        return self.output["dense"]((weights @ v).transpose(1, 2).flatten(2))


class HfBlock(nn.Module):
    def __init__(self, dim: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.attention = HfAttention(dim, heads)
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(dim, hidden)})
        self.output = nn.ModuleDict({"dense": nn.Linear(hidden, dim)})
        self.layernorm_before = nn.LayerNorm(dim, 1e-12)
        self.layernorm_after = nn.LayerNorm(dim, 1e-12)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.layernorm_before(x))
        inner = functional.gelu(self.intermediate["dense"](self.layernorm_after(x)))
        return x + self.output["dense"](inner)


class HfViT(nn.Module):
    """The ViT of the hub, under the names of its published checkpoints (Phikon)."""

    def __init__(self, dim: int, heads: int, depth: int, hidden: int, *, grid: int) -> None:
        super().__init__()
        self.embeddings = nn.Module()
        self.embeddings.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.embeddings.position_embeddings = nn.Parameter(torch.zeros(1, 1 + grid**2, dim))
        stem = nn.ModuleDict({"projection": nn.Conv2d(3, dim, 16, 16)})
        self.embeddings.patch_embeddings = stem
        self.encoder = nn.ModuleDict(
            {"layer": nn.ModuleList([HfBlock(dim, heads, hidden) for _ in range(depth)])}
        )
        self.layernorm = nn.LayerNorm(dim, 1e-12)
        self.pooler = nn.ModuleDict({"dense": nn.Linear(dim, dim)})

    def forward(self, x: Tensor) -> Tensor:
        first = self.embeddings
        tokens = first.patch_embeddings["projection"](x).flatten(2).transpose(1, 2)
        tokens = torch.cat([first.cls_token.expand(len(x), -1, -1), tokens], dim=1)
        tokens = tokens + first.position_embeddings
        for layer in self.encoder["layer"]:
            tokens = layer(tokens)
        return self.layernorm(tokens)[:, 0]


class ImageBindBlock(nn.Module):
    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(dim, heads, batch_first=True)
        self.mlp = Mlp(dim, 4 * dim)
        self.norm_1, self.norm_2 = nn.LayerNorm(dim, 1e-6), nn.LayerNorm(dim, 1e-6)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm_1(x)
        x = x + self.attn(y, y, y, need_weights=False)[0]
        return x + self.mlp(self.norm_2(x))


class ImageBindVision(nn.Module):
    """The vision trunk of ImageBind: an image is repeated to two frames before the stem.

    `published` gives its parameters under the names of imagebind_huge.pth, with a few of the
    other modalities beside.
    """

    def __init__(self, dim: int, heads: int, depth: int, out: int, *, grid: int) -> None:
        super().__init__()
        self.stem = nn.Conv3d(3, dim, (2, 14, 14), (2, 14, 14), bias=False)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + grid**2, dim))
        self.before = nn.LayerNorm(dim, 1e-6)
        self.blocks = nn.ModuleList([ImageBindBlock(dim, heads) for _ in range(depth)])
        self.norm, self.head = nn.LayerNorm(dim, 1e-6), nn.Linear(dim, out, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        frames = x.unsqueeze(2).expand(-1, -1, 2, -1, -1)
        tokens = self.stem(frames).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.cls_token.expand(len(x), -1, -1), tokens], dim=1)
        tokens = self.before(tokens + self.pos_embed)
        for block in self.blocks:
            tokens = block(tokens)
        return functional.normalize(self.head(self.norm(tokens)[:, 0]), dim=-1)

    def published(self) -> dict[str, Tensor]:
        start, trunk = "modality_preprocessors.vision.", "modality_trunks.vision."
        names = {
            "stem.weight": f"{start}rgbt_stem.proj.1.weight",
            "cls_token": f"{start}cls_token",
            "pos_embed": f"{start}pos_embedding_helper.pos_embed",
            "head.weight": "modality_heads.vision.2.weight",
        }
        state = {}
        for name, value in self.state_dict().items():
            name = names.get(name) or name.replace("before.", f"{trunk}pre_transformer_layer.0.")
            name = name.replace("blocks.", f"{trunk}blocks.") if name[:6] == "blocks" else name
            name = (
                name.replace("norm.", "modality_heads.vision.0.") if name[:5] == "norm." else name
            )
            state[name] = value
        others = ["modality_trunks.text.blocks.0.norm_1.weight", "modality_heads.audio.0.bias"]
        return state | {name: torch.zeros(3) for name in others}


class SamBlock(nn.Module):
    """Attention inside windows, or over all where `window` is 0, with decomposed positions."""

    def __init__(self, dim: int, heads: int, *, window: int, grid: int) -> None:
        super().__init__()
        side = window or grid
        self.window = window
        self.norm1, self.norm2 = nn.LayerNorm(dim, 1e-6), nn.LayerNorm(dim, 1e-6)
        self.attn = Attention(dim, heads)
        self.attn.rel_pos_h = nn.Parameter(torch.zeros(2 * side - 1, dim // heads))
        self.attn.rel_pos_w = nn.Parameter(torch.zeros(2 * side - 1, dim // heads))
        self.mlp = Mlp(dim, 4 * dim, names=("lin1", "lin2"))

    def attend(self, x: Tensor) -> Tensor:
        """Map (n, side, side, dim) to the same, all tokens attending to all."""
        n, side, _, dim = x.shape
        a = self.attn
        q, k, v = a.qkv(x).view(n, side * side, 3, a.heads, -1).permute(2, 0, 3, 1, 4)
        weights = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
        apart = torch.arange(side)[:, None] - torch.arange(side)[None, :] + side - 1
        square = q.reshape(n, a.heads, side, side, -1)
        high = torch.einsum("nhyxc,ykc->nhyxk", square, a.rel_pos_h[apart])
        wide = torch.einsum("nhyxc,xkc->nhyxk", square, a.rel_pos_w[apart])
        bias = high[..., :, None] + wide[..., None, :]  # (n, heads, y, x, key y, key x)
        weights = (weights + bias.reshape(weights.shape)).softmax(-1)
        return a.proj((weights @ v).transpose(1, 2).reshape(n, side, side, dim))

    def forward(self, x: Tensor) -> Tensor:
        y, side = self.norm1(x), x.shape[1]
        if self.window:
            w = self.window
            more = -side % w
            y = functional.pad(y, (0, 0, 0, more, 0, more))
            count = (side + more) // w
            y = (
                y.view(len(x), count, w, count, w, -1)
                .transpose(2, 3)
                .reshape(-1, w, w, x.shape[-1])
            )
            y = self.attend(y).view(len(x), count, count, w, w, -1).transpose(2, 3)
            y = y.reshape(len(x), side + more, side + more, -1)[:, :side, :side]
        else:
            y = self.attend(y)
        x = x + y
        return x + self.mlp(self.norm2(x))


class MapNorm(nn.Module):
    """LayerNorm over the channels of a map."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(dim)), nn.Parameter(torch.zeros(dim))

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean(1, keepdim=True)
        spread = ((x - mean) ** 2).mean(1, keepdim=True)
        x = (x - mean) / torch.sqrt(spread + 1e-6)
        return x * self.weight[:, None, None] + self.bias[:, None, None]


class SamEncoder(nn.Module):
    """The image encoder of Segment Anything; `forward` averages the map of its neck."""

    def __init__(self, dim: int, heads: int, *, grid: int, window: int, whole: set[int]) -> None:
        super().__init__()
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, dim, 16, 16)})
        self.pos_embed = nn.Parameter(torch.zeros(1, grid, grid, dim))
        windows = [0 if i in whole else window for i in range(3)]
        self.blocks = nn.ModuleList([SamBlock(dim, heads, window=w, grid=grid) for w in windows])
        first, second = nn.Conv2d(dim, 256, 1, bias=False), nn.Conv2d(256, 256, 3, 1, 1, bias=False)
        self.neck = nn.Sequential(first, MapNorm(256), second, MapNorm(256))

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch_embed["proj"](x).permute(0, 2, 3, 1) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        return self.neck(x.permute(0, 3, 1, 2)).mean(dim=(2, 3))


class SwinBlock(nn.Module):
    """Attention inside windows of 7, every second time shifted by 3, with a table of biases."""

    def __init__(self, dim: int, heads: int, side: int, *, shift: int) -> None:
        super().__init__()
        self.window = min(7, side)
        self.shift, self.side = (shift if side > 7 else 0), side
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attn, self.mlp = Attention(dim, heads), Mlp(dim, 4 * dim)
        w = self.window
        self.attn.relative_position_bias_table = nn.Parameter(torch.zeros((2 * w - 1) ** 2, heads))
        at = torch.stack(torch.meshgrid(torch.arange(w), torch.arange(w), indexing="ij")).flatten(1)
        apart = at[:, :, None] - at[:, None, :] + w - 1
        index = apart[0] * (2 * w - 1) + apart[1]
        self.attn.register_buffer("relative_position_index", index)
        self.register_buffer("attn_mask", self.mask() if self.shift else None)

    def cut(self, x: Tensor) -> Tensor:
        n, side, w = len(x), self.side, self.window
        x = x.view(n, side // w, w, side // w, w, -1).transpose(2, 3)
        return x.reshape(-1, w * w, x.shape[-1])

    def mask(self) -> Tensor:
        """Forbid attention between parts that only the shift has brought together."""
        region = torch.zeros(self.side)
        region[-self.window : -self.shift], region[-self.shift :] = 1, 2
        regions = self.cut((region[:, None] * 3 + region[None, :])[None, ..., None])[..., 0]
        return (regions[:, None, :] != regions[:, :, None]) * -100.0

    def forward(self, x: Tensor) -> Tensor:
        n, side, w, a = len(x), self.side, self.window, self.attn
        y = torch.roll(self.norm1(x), (-self.shift, -self.shift), (1, 2))
        y = self.cut(y)
        q, k, v = a.qkv(y).view(len(y), w * w, 3, a.heads, -1).permute(2, 0, 3, 1, 4)
        weights = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
        weights = weights + a.relative_position_bias_table[a.relative_position_index].permute(
            2, 0, 1
        )
        if self.attn_mask is not None:
            weights = weights + self.attn_mask.repeat(n, 1, 1)[:, None]
        y = a.proj((weights.softmax(-1) @ v).transpose(1, 2).reshape(len(y), w * w, -1))
        y = y.view(n, side // w, side // w, w, w, -1).transpose(2, 3).reshape(n, side, side, -1)
        x = x + torch.roll(y, (self.shift, self.shift), (1, 2))
        return x + self.mlp(self.norm2(x))


class Merging(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm, self.reduction = nn.LayerNorm(4 * dim), nn.Linear(4 * dim, 2 * dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        corners = [x[:, 0::2, 0::2], x[:, 1::2, 0::2], x[:, 0::2, 1::2], x[:, 1::2, 1::2]]
        return self.reduction(self.norm(torch.cat(corners, dim=-1)))


class SwinStage(nn.Module):
    """As in timm 0.5: the stage ends with the merging that leads to the next."""

    def __init__(self, dim: int, heads: int, side: int, *, depth: int, merges: bool) -> None:
        super().__init__()
        blocks = [SwinBlock(dim, heads, side, shift=3 * (i % 2)) for i in range(depth)]
        self.blocks = nn.ModuleList(blocks)
        self.downsample = Merging(dim) if merges else None

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return self.downsample(x) if self.downsample else x


class CTransPath(nn.Module):
    """Swin behind a convolutional stem, under the names of ctranspath.pth."""

    def __init__(self, dim: int, heads: list[int], depths: list[int], *, side: int = 224) -> None:
        super().__init__()
        stem = nn.Sequential(
            nn.Conv2d(3, dim // 8, 3, 2, 1, bias=False), nn.BatchNorm2d(dim // 8), nn.ReLU(),
            nn.Conv2d(dim // 8, dim // 4, 3, 2, 1, bias=False), nn.BatchNorm2d(dim // 4), nn.ReLU(),
            nn.Conv2d(dim // 4, dim, 1),
        )  # fmt: skip
        self.patch_embed = nn.ModuleDict({"proj": stem, "norm": nn.LayerNorm(dim)})
        last = len(depths) - 1
        self.layers = nn.ModuleList(
            [
                SwinStage(dim * 2**i, heads[i], side // 4 // 2**i, depth=n, merges=i < last)
                for i, n in enumerate(depths)
            ]
        )
        self.norm = nn.LayerNorm(dim * 2**last)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch_embed["norm"](self.patch_embed["proj"](x).permute(0, 2, 3, 1))
        for layer in self.layers:
            x = layer(x)
        return self.norm(x).mean(dim=(1, 2))


class ConchPool(nn.Module):
    """CONCH v1.5's attention pool, head by head, under its published names."""

    def __init__(self, dim: int, out: int, heads: int) -> None:
        super().__init__()
        self.heads, self.query = heads, nn.Parameter(torch.zeros(1, out))
        self.ln_q, self.ln_k = nn.LayerNorm(out), nn.LayerNorm(dim)
        self.to_q, self.to_kv = nn.Linear(out, out, bias=False), nn.Linear(dim, 2 * out, bias=False)
        self.to_out = nn.Linear(out, out, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        q = self.to_q(self.ln_q(self.query))
        k, v = self.to_kv(self.ln_k(tokens)).split(q.shape[-1], dim=-1)
        width, parts = q.shape[-1] // self.heads, []
        for head in range(self.heads):
            mine = slice(head * width, (head + 1) * width)
            weights = (k[..., mine] @ q[0, mine] / width**0.5).softmax(-1)
            parts.append((weights[..., None] * v[..., mine]).sum(1))
        return self.to_out(torch.cat(parts, dim=-1))
