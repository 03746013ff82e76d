"""The three losses of DINOv2 and the teacher's assignment, all in fp32.

Oquab et al. 2023, section 4; the numbers are those of its released code, which Roth et al. 2024
used. `tests/learners/dinov2/test_losses.py` holds them against an independent implementation.
"""

import torch
from torch import Tensor
from torch.nn.functional import normalize, pairwise_distance
from torch.utils.checkpoint import checkpoint

from cryotome.learners.dinov2.head import head_logits

SINKHORN_ROUNDS = 3  # of Sinkhorn-Knopp
MAX_LOGITS = 2**27  # logits held at once: 0.5 GB
LOG_EPSILON = 1e-8  # of KoLeo's logarithm


@torch.no_grad()
def sinkhorn_knopp(logits: Tensor, temperature: float) -> Tensor:
    """Assign rows to prototypes so that all prototypes are used alike.

    Parameters
    ----------
    logits : (n, K) float
        Of the teacher; overwritten.

    Returns
    -------
    (n, K) float32
        Rows sum to one, columns to about n / K.
    """
    q = logits.float().div_(temperature)
    q.sub_(q.max()).exp_()  # the largest is 1: nothing overflows
    least = torch.finfo(q.dtype).tiny
    for _ in range(SINKHORN_ROUNDS):
        q.div_(q.sum(0, keepdim=True).clamp_(min=least))
        q.div_(q.sum(1, keepdim=True).clamp_(min=least))
    return q


def _part(
    points: Tensor, prototypes: Tensor, target: Tensor, rows: Tensor, temperature: float
) -> Tensor:
    logits, target = head_logits(points, prototypes) / temperature, target[rows]
    return target.sum(1) * logits.logsumexp(1) - (target * logits).sum(1)


def cross_entropy(
    points: Tensor,
    prototypes: Tensor,
    target: Tensor,
    rows: Tensor,
    *,
    temperature: float,
    at_once: int = MAX_LOGITS,
) -> Tensor:
    """Return the cross-entropy of each of the student's points with its target.

    Where there are more logits than `at_once`, they are made and forgotten in parts, and
    made again for the gradients.

    Parameters
    ----------
    points : (n, bottleneck) float
        Of the student's head.
    prototypes : (K, bottleneck) float
    target : (m, K) float
        Assignments of the teacher. A row that sums to two stands for two targets.
    rows : (n,) int
        Which target each point has.

    Returns
    -------
    (n,) float32
    """
    size = max(1, at_once // len(prototypes))
    if len(points) <= size:
        return _part(points, prototypes, target, rows, temperature)
    parts = [
        checkpoint(_part, some, prototypes, target, which, temperature, use_reentrant=False)
        for some, which in zip(points.split(size), rows.split(size), strict=True)
    ]
    return torch.cat(parts)


def dino_targets(assigned: Tensor, crops: int) -> tuple[Tensor, Tensor]:
    """Pair the teacher's assignments with the student's class tokens.

    A global crop is to say what the teacher says of the other one, a local crop what it says
    of both.

    Parameters
    ----------
    assigned : (2 * n, K) float
        Of the first global crops, then of the second.
    crops
        Global and local ones of an image.

    Returns
    -------
    target : (3 * n, K) float
    rows : (crops * n,) int
        As `cross_entropy` takes them, crop by crop.
    """
    first, second = assigned.chunk(2)
    target = torch.cat([second, first, first + second])
    place = torch.arange(len(first), device=assigned.device)
    kind = torch.arange(crops, device=assigned.device).clamp(max=2)
    return target, (kind[:, None] * len(first) + place).flatten()


def koleo(tokens: Tensor, epsilon: float) -> Tensor:
    """Return minus the mean logarithm of the distance to the nearest other token.

    Parameters
    ----------
    tokens : (n, dim) float
        Class tokens of one crop of every image, before the head.
    epsilon
        Of the distance. Roth et al. 2024 took 1e-4, as two equal tokens gave infinite
        gradients in fp16; that of the logarithm stays 1e-8, whatever their text says.
    """
    with torch.autocast(tokens.device.type, enabled=False):
        unit = normalize(tokens.float(), eps=1e-8, dim=-1)
        with torch.no_grad():
            likeness = unit @ unit.T
            nearest = likeness.fill_diagonal_(-1).argmax(1)
        distance = pairwise_distance(unit, unit[nearest], eps=epsilon)
        return -(distance + LOG_EPSILON).log().mean()
