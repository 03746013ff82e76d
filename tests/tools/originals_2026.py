"""The original definitions of the encoders of 2026, written from their descriptions, as `originals` has the earlier ones."""

import math

import torch
from originals import Attention, DinoBlock, Mlp, Scale
from torch import Tensor, nn
from torch.nn import functional


class ClipBlock(nn.Module):
    """A block of CLIP under the names of open_clip; the activation is given."""

    def __init__(self, dim: int, heads: int, act) -> None:
        super().__init__()
        self.heads, self.act = heads, act
        self.ln_1, self.ln_2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attn = nn.Module()
        self.attn.in_proj_weight = nn.Parameter(torch.zeros(3 * dim, dim))
        self.attn.in_proj_bias = nn.Parameter(torch.zeros(3 * dim))
        self.attn.out_proj = nn.Linear(dim, dim)
        inner = {"c_fc": nn.Linear(dim, 4 * dim), "c_proj": nn.Linear(4 * dim, dim)}
        self.mlp = nn.ModuleDict(inner)

    def forward(self, x: Tensor) -> Tensor:
        three = functional.linear(self.ln_1(x), self.attn.in_proj_weight, self.attn.in_proj_bias)
        q, k, v = three.unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        weights = (q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])).softmax(-1)
        x = x + self.attn.out_proj((weights @ v).transpose(1, 2).flatten(2))
        return x + self.mlp["c_proj"](self.act(self.mlp["c_fc"](self.ln_2(x))))


class OpenClip(nn.Module):
    """The image tower of CLIP under the names of open_clip, `visual.` left out: x @ proj at the end."""

    def __init__(self, dim: int, heads: int, depth: int, out: int, *, patch: int, act) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, dim, patch, patch, bias=False)
        self.class_embedding = nn.Parameter(torch.zeros(dim))
        self.positional_embedding = nn.Parameter(torch.zeros((224 // patch) ** 2 + 1, dim))
        self.ln_pre, self.ln_post = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.transformer = nn.Module()
        self.transformer.resblocks = nn.Sequential(
            *(ClipBlock(dim, heads, act) for _ in range(depth))
        )
        self.proj = nn.Parameter(torch.zeros(dim, out))

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.conv1(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.class_embedding.expand(len(x), 1, -1), tokens], dim=1)
        tokens = self.transformer.resblocks(self.ln_pre(tokens + self.positional_embedding))
        return self.ln_post(tokens[:, 0]) @ self.proj


class CoCaPool(nn.Module):
    """CONCH's attention pool, head by head, with the biases of nn.MultiheadAttention."""

    def __init__(self, dim: int, out: int, heads: int) -> None:
        super().__init__()
        self.heads, self.query = heads, nn.Parameter(torch.zeros(1, out))
        self.ln_q, self.ln_k = nn.LayerNorm(out), nn.LayerNorm(dim)
        self.attn = nn.Module()
        for name, width in (("q", out), ("k", dim), ("v", dim)):
            setattr(self.attn, f"{name}_proj_weight", nn.Parameter(torch.zeros(out, width)))
        self.attn.in_proj_bias = nn.Parameter(torch.zeros(3 * out))
        self.attn.out_proj = nn.Linear(out, out)

    def forward(self, tokens: Tensor) -> Tensor:
        attn, keys = self.attn, self.ln_k(tokens)
        of_q, of_k, of_v = attn.in_proj_bias.chunk(3)
        q = self.ln_q(self.query)[0] @ attn.q_proj_weight.T + of_q
        k, v = keys @ attn.k_proj_weight.T + of_k, keys @ attn.v_proj_weight.T + of_v
        width, parts = len(q) // self.heads, []
        for head in range(self.heads):
            mine = slice(head * width, (head + 1) * width)
            weights = (k[..., mine] @ q[mine] / width**0.5).softmax(-1)
            parts.append((weights[..., None] * v[..., mine]).sum(1))
        return attn.out_proj(torch.cat(parts, dim=-1))


class Plain(nn.Module):
    """A ViT as DINO v1 wrote it: no LayerScale. With `scaled`, that of UNI, which has it."""

    def __init__(
        self, dim: int, heads: int, depth: int, *, patch: int, side: int, scaled: bool
    ) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + (side // patch) ** 2, dim))
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, dim, patch, patch)})
        self.blocks = nn.ModuleList(
            [DinoBlock(dim, heads, 4 * dim, gated=False) for _ in range(depth)]
        )
        for block in self.blocks if not scaled else ():
            block.ls1, block.ls2 = nn.Identity(), nn.Identity()
        self.norm = nn.LayerNorm(dim, 1e-6)

    def tokens(self, x: Tensor) -> Tensor:
        tokens = self.patch_embed["proj"](x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.cls_token.expand(len(x), -1, -1), tokens], dim=1) + self.pos_embed
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens)

    def forward(self, x: Tensor) -> Tensor:
        return self.tokens(x)[:, 0]


class PathoDuet(nn.Module):
    """Pretext token, class token, patches: only patches have positions other than zero."""

    def __init__(self, dim: int, heads: int, depth: int) -> None:
        super().__init__()
        self.pretext_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, 198, dim))
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, dim, 16, 16)})
        self.blocks = nn.ModuleList(
            [DinoBlock(dim, heads, 4 * dim, gated=False) for _ in range(depth)]
        )
        for block in self.blocks:
            block.ls1, block.ls2 = nn.Identity(), nn.Identity()
        self.fc_norm = nn.LayerNorm(dim, 1e-6)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patch_embed["proj"](x).flatten(2).transpose(1, 2)
        first = [t.expand(len(x), -1, -1) for t in (self.pretext_token, self.cls_token)]
        tokens = torch.cat([*first, tokens], dim=1) + self.pos_embed
        for block in self.blocks:
            tokens = block(tokens)
        return self.fc_norm(tokens[:, 2:].mean(dim=1))


def turned(x: Tensor, angles: Tensor) -> Tensor:
    """Rotate the patch tokens of queries or keys, (n, heads, tokens, width); prefix tokens stay."""
    prefix = x.shape[-2] - len(angles)
    first, rest = x[..., :prefix, :], x[..., prefix:, :]
    a, b = rest.chunk(2, dim=-1)
    rest = rest * angles.cos() + torch.cat([-b, a], dim=-1) * angles.sin()
    return torch.cat([first, rest], dim=-2)


class RotaryBlock(nn.Module):
    def __init__(self, dim: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.norm1, self.attn, self.ls1 = nn.LayerNorm(dim, 1e-6), Attention(dim, heads), Scale(dim)
        self.attn.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.norm2, self.ls2 = nn.LayerNorm(dim, 1e-6), Scale(dim)
        inner = {"w1": nn.Linear(dim, hidden), "w2": nn.Linear(dim, hidden)}
        self.mlp = nn.ModuleDict(inner | {"w3": nn.Linear(hidden, dim)})

    def forward(self, x: Tensor, angles: Tensor) -> Tensor:
        attn = self.attn
        q, k, v = attn.qkv(self.norm1(x)).unflatten(-1, (3, attn.heads, -1)).permute(2, 0, 3, 1, 4)
        q, k = turned(q, angles), turned(k, angles)
        weights = (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).softmax(-1)
        x = x + self.ls1(attn.proj((weights @ v).transpose(1, 2).flatten(2)))
        y = self.norm2(x)
        return x + self.ls2(self.mlp["w3"](functional.silu(self.mlp["w1"](y)) * self.mlp["w2"](y)))


class PathFm(nn.Module):
    """GenBio-PathFM: a DINOv3 of one channel, run on each colour; rotary positions in fp32."""

    def __init__(self, dim: int, heads: int, depth: int, hidden: int) -> None:
        super().__init__()
        self.width = dim // heads
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.storage_tokens = nn.Parameter(torch.zeros(1, 4, dim))
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(1, dim, 16, 16)})
        self.rope_embed = nn.Module()
        self.rope_embed.register_buffer("periods", torch.zeros(self.width // 4))
        self.blocks = nn.ModuleList([RotaryBlock(dim, heads, hidden) for _ in range(depth)])
        self.norm = nn.LayerNorm(dim, 1e-6)

    def angles(self, side: int) -> Tensor:
        periods = 100 ** (2 * torch.arange(self.width // 4) / (self.width // 2))
        at = 2 * (torch.arange(side) + 0.5) / side - 1
        places = torch.cartesian_prod(at, at)  # row, column
        angles = (2 * math.pi * places[:, :, None] / periods).flatten(1)
        return torch.cat([angles, angles], dim=1)

    def grey(self, x: Tensor) -> Tensor:
        tokens = self.patch_embed["proj"](x).flatten(2).transpose(1, 2)
        first = [t.expand(len(x), -1, -1) for t in (self.cls_token, self.storage_tokens)]
        tokens, angles = torch.cat([*first, tokens], dim=1), self.angles(x.shape[-1] // 16)
        for block in self.blocks:
            tokens = block(tokens, angles)
        return self.norm(tokens)[:, 0]

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.grey(x[:, c : c + 1]) for c in range(3)], dim=1)


class Beit3Branch(nn.Module):
    """Both branches of what BEiT-3 keeps twice: A sees images."""

    def __init__(self, make) -> None:
        super().__init__()
        self.A, self.B = make(), make()

    def forward(self, x: Tensor) -> Tensor:
        return self.A(x)


class Beit3Ffn(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)
        self.ffn_layernorm = nn.LayerNorm(4 * dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.ffn_layernorm(functional.gelu(self.fc1(x))))


class Beit3Layer(nn.Module):
    """A LayerNorm before each part, and one more within it: after attention and after GELU."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads, self.self_attn = heads, nn.Module()
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            setattr(self.self_attn, name, Beit3Branch(lambda: nn.Linear(dim, dim)))
        self.self_attn.inner_attn_ln = Beit3Branch(lambda: nn.LayerNorm(dim))
        self.self_attn_layer_norm = Beit3Branch(lambda: nn.LayerNorm(dim))
        self.final_layer_norm = Beit3Branch(lambda: nn.LayerNorm(dim))
        self.ffn = Beit3Branch(lambda: Beit3Ffn(dim))

    def forward(self, x: Tensor) -> Tensor:
        attn, y = self.self_attn, self.self_attn_layer_norm(x)
        q, k, v = (
            part(y).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in (attn.q_proj, attn.k_proj, attn.v_proj)
        )
        weights = (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).softmax(-1)
        y = attn.inner_attn_ln((weights @ v).transpose(1, 2).flatten(2))
        x = x + attn.out_proj(y)
        return x + self.ffn(self.final_layer_norm(x))


class Musk(nn.Module):
    """The image branch of MUSK; two rows of its positions are never used."""

    def __init__(self, dim: int, heads: int, depth: int) -> None:
        super().__init__()
        self.vision_embed = nn.Module()
        self.vision_embed.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.vision_embed.mask_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.vision_embed.proj = nn.Conv2d(3, dim, 16, 16)
        self.text_embed = nn.Embedding(5, dim)
        self.encoder = nn.Module()
        self.encoder.embed_positions = nn.ModuleDict(
            {"A": nn.Embedding(24**2 + 3, dim), "B": nn.Embedding(9, dim)}
        )
        self.encoder.layers = nn.Sequential(*(Beit3Layer(dim, heads) for _ in range(depth)))
        self.encoder.layer_norm = Beit3Branch(lambda: nn.LayerNorm(dim))

    def forward(self, x: Tensor) -> Tensor:
        first = self.vision_embed
        tokens = first.proj(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([first.cls_token.expand(len(x), -1, -1), tokens], dim=1)
        places = torch.arange(tokens.shape[1]) + 2
        tokens = self.encoder.layers(tokens + self.encoder.embed_positions["A"](places))
        return self.encoder.layer_norm(tokens)[:, 0]


class TwoScales(nn.Module):
    """The image at its own scale, and its quarters at twice: as MUSK's code with `ms_aug`."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        side = x.shape[-1]
        large = functional.interpolate(x, size=(2 * side, 2 * side), mode="bicubic")
        corners = [(0, 0), (0, side), (side, 0), (side, side)]
        quarters = [self.inner(large[..., i : i + side, j : j + side]) for i, j in corners]
        return torch.cat([self.inner(x), torch.stack(quarters).mean(dim=0)], dim=1)


__all__ = ["CoCaPool", "Mlp", "Musk", "OpenClip", "PathFm", "PathoDuet", "Plain", "TwoScales"]
