"""The three losses of DINOv2 and the teacher's assignments, all in fp32.

Oquab et al. 2023, section 4; the constants are those of its released code, which Roth et al.
2024 used. `tests/learners/dinov2/test_losses.py` compares them with an independent
implementation.
"""

import torch
from torch import Tensor
from torch.nn.functional import normalize, pairwise_distance
from torch.utils.checkpoint import checkpoint

from cryotome.learners.dinov2.head import head_logits

SINKHORN_ROUNDS = 3  # iterations
MAX_LOGITS = 2**27  # logits in memory at once, 0.5 GB
LOG_EPSILON = 1e-8  # in the logarithm of KoLeo


@torch.no_grad()
def sinkhorn_knopp(logits: Tensor, temperature: float) -> Tensor:
    """Assign rows to prototypes so that all prototypes are used equally.

    Parameters
    ----------
    logits : (n, K) float
        Logits of the teacher; overwritten.

    Returns
    -------
    (n, K) float32
        Rows sum to one, columns to about n / K.
    """
    q = logits.float().div_(temperature)
    q.sub_(q.max()).exp_()  # the largest is 1, so that nothing overflows
    least = torch.finfo(q.dtype).tiny
    for _ in range(SINKHORN_ROUNDS):
        q.div_(q.sum(0, keepdim=True).clamp_(min=least))
        q.div_(q.sum(1, keepdim=True).clamp_(min=least))
    return q


def _chunk_loss(
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
    max_logits: int = MAX_LOGITS,
) -> Tensor:
    """Return the cross-entropy of each of the student's points with its target.

    More logits than `max_logits` are computed in chunks, which are not kept but recomputed for
    the gradients.

    Parameters
    ----------
    points : (n, bottleneck) float
        Output of the student's head.
    prototypes : (K, bottleneck) float
    target : (m, K) float
        Assignments of the teacher. A row that sums to two is the sum of two targets.
    rows : (n,) int
        Row of the target of each point.

    Returns
    -------
    (n,) float32
    """
    size = max(1, max_logits // len(prototypes))
    if len(points) <= size:
        return _chunk_loss(points, prototypes, target, rows, temperature)
    chunks = [
        checkpoint(_chunk_loss, some, prototypes, target, which, temperature, use_reentrant=False)
        for some, which in zip(points.split(size), rows.split(size), strict=True)
    ]
    return torch.cat(chunks)


def dino_targets(assigned: Tensor, crops: int) -> tuple[Tensor, Tensor]:
    """Pair the teacher's assignments with the student's class tokens.

    The target of a global crop is the assignment of the other one; that of a local crop is the
    sum of both.

    Parameters
    ----------
    assigned : (2 * n, K) float
        Assignments of the first global crops, then of the second.
    crops
        Number of global and local crops of an image.

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
        Added to the distance. Roth et al. 2024 used 1e-4, as two equal tokens gave infinite
        gradients in fp16; their code, unlike their text, keeps 1e-8 in the logarithm.
    """
    with torch.autocast(tokens.device.type, enabled=False):
        unit = normalize(tokens.float(), eps=1e-8, dim=-1)
        with torch.no_grad():
            similarity = unit @ unit.T
            nearest = similarity.fill_diagonal_(-1).argmax(1)
        distance = pairwise_distance(unit, unit[nearest], eps=epsilon)
        return -(distance + LOG_EPSILON).log().mean()
