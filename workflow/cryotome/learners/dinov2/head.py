"""The head of student and teacher, for class and patch tokens."""

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.nn.utils.parametrizations import weight_norm

from cryotome.core.cards import Card


class Head(nn.Module):
    """Three layers that map a token to a point on a sphere, and the prototypes to compare it with.

    Caron et al. 2021, appendix C; one head for the DINO and the iBOT loss (Roth et al. 2024,
    configuration: `separate_head: false`). The lengths of the prototypes start at one and are
    trained.
    """

    def __init__(self, dim: int, settings: Card) -> None:
        super().__init__()
        hidden, bottleneck = settings["hidden"], settings["bottleneck"]
        self.layers = nn.Sequential(
            nn.Linear(dim, hidden),
            nn.GELU(),
            nn.Linear(hidden, hidden),
            nn.GELU(),
            nn.Linear(hidden, bottleneck),
        )
        for name, weight in self.layers.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(weight)
            else:
                nn.init.trunc_normal_(weight, std=0.02)
        self.last = weight_norm(nn.Linear(bottleneck, settings["prototypes"], bias=False))
        for name, weight in self.last.named_parameters():
            if name.endswith("original0"):  # the lengths
                nn.init.ones_(weight)

    @property
    def prototypes(self) -> Tensor:
        """The prototypes, (prototypes, bottleneck) float; computed at every call."""
        return self.last.weight

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (n, dim) to points of length one, (n, bottleneck) float32."""
        return normalize(self.layers(tokens).float(), dim=-1)


def head_logits(points: Tensor, prototypes: Tensor) -> Tensor:
    """Return logits (n, prototypes), multiplied in float32 under autocast to bf16, too.

    They are divided by temperatures as low as 0.04, for which the eight bits of bf16 are too few.
    """
    with torch.autocast(points.device.type, enabled=False):
        return points @ prototypes.T
