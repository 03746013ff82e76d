"""Against lightly 1.6.0 (MIT), an independent implementation, on fixed inputs."""

import numpy as np
import pytest
import torch
from lightly.loss import DINOLoss, IBOTPatchLoss, KoLeoLoss
from torch.nn.functional import normalize

from cryotome.learners.dinov2.losses import cross_entropy, dino_targets, koleo, sinkhorn_knopp

N, K, D = 6, 40, 16


def points(count, seed):
    return normalize(torch.randn(count, D, generator=torch.Generator().manual_seed(seed)), dim=-1)


@pytest.fixture
def prototypes():
    return 2 * points(K, 9)


def test_the_dino_loss_is_the_independent_one(prototypes):
    """18 terms: two global crops swapped, eight local ones against both."""
    teacher, student = points(2 * N, 0) @ prototypes.T, points(10 * N, 1)
    target, rows = dino_targets(torch.softmax(teacher / 0.05, 1), 10)
    told = cross_entropy(student, prototypes, target, rows, temperature=0.1)
    theirs = DINOLoss(output_dim=K, teacher_temp=0.05, student_temp=0.1)(
        list(teacher.chunk(2)), list((student @ prototypes.T).chunk(10)), teacher_temp=0.05
    )
    assert (told.sum() / (18 * N)).item() == pytest.approx(theirs.item(), abs=1e-5)


def test_the_ibot_loss_is_the_independent_one(prototypes):
    """Of masked tokens only; every crop weighs the same, also one without any."""
    mask = torch.zeros(4, 3, 3, dtype=torch.bool)
    mask[0, :2], mask[1, 1, 1], mask[3] = True, True, True
    teacher, student = points(36, 2) @ prototypes.T, points(36, 3)
    from cryotome.learners.dinov2.masks import Masks

    masks = Masks.of(mask.flatten(1))
    target = torch.softmax(teacher[masks.place] / 0.05, 1)
    every = torch.arange(len(masks.place))
    told = cross_entropy(student[masks.place], prototypes, target, every, temperature=0.1)
    theirs = IBOTPatchLoss(output_dim=K, teacher_temp=0.05, student_temp=0.1)(
        teacher[masks.place], (student @ prototypes.T)[masks.place], mask, 0.05
    )
    assert (told * masks.weight).sum().item() == pytest.approx(theirs.item(), abs=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_koleo_is_the_independent_one(seed):
    tokens = torch.randn(32, D, generator=torch.Generator().manual_seed(seed))
    assert koleo(tokens, 1e-8).item() == pytest.approx(KoLeoLoss()(tokens).item(), abs=1e-5)


def test_koleo_keeps_two_equal_tokens_finite_in_bf16():
    tokens = torch.ones(2, D, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        loss = koleo(tokens, 1e-4)
    loss.backward()
    assert loss.item() == pytest.approx(-np.log(1e-4 * D**0.5 + 1e-8), abs=1e-3)
    assert tokens.grad.isfinite().all()


def plainly(logits, temperature):
    """Sinkhorn-Knopp as Cuturi wrote it, in float64, prototypes in rows."""
    q = np.exp(logits.double().numpy().T / temperature)
    k, n = q.shape
    q /= q.sum()
    for _ in range(3):
        q /= q.sum(axis=1, keepdims=True) * k
        q /= q.sum(axis=0, keepdims=True) * n
    return (q * n).T


@pytest.mark.parametrize("temperature", [0.04, 0.07])
def test_assignments_are_those_of_a_plain_writing(prototypes, temperature):
    logits = points(200, 4) @ prototypes.T
    q = sinkhorn_knopp(logits.clone(), temperature)
    assert q.numpy() == pytest.approx(plainly(logits, temperature), abs=1e-5)
    assert q.sum(1).numpy() == pytest.approx(1, abs=1e-5)


def test_prototypes_are_used_alike(prototypes):
    logits = points(200, 4) @ prototypes.T
    q = sinkhorn_knopp(logits.clone(), 1.0)
    assert q.sum(0).numpy() == pytest.approx(200 / K, rel=0.01)
    assert torch.softmax(logits, 1).sum(0).std() > 10 * q.sum(0).std()


def test_assignments_neither_overflow_nor_divide_by_zero():
    logits = torch.tensor([[100.0, 0, -100], [0, 0, -100], [0, 1, -100]])
    q = sinkhorn_knopp(logits, 0.04)
    assert q.isfinite().all()


def test_parts_give_the_loss_and_the_gradients_of_the_whole(prototypes):
    student, target = points(50, 5), torch.softmax(points(50, 6) @ prototypes.T / 0.05, 1)
    found = []
    for max_logits in (2**27, 7 * K, 1):
        mine, its = student.clone().requires_grad_(), prototypes.clone().requires_grad_()
        rows = torch.arange(50)
        loss = cross_entropy(mine, its, target, rows, temperature=0.1, max_logits=max_logits)
        loss.sum().backward()
        found.append((loss.detach(), mine.grad, its.grad))
    for part in found[1:]:
        for ours, whole in zip(part, found[0], strict=True):
            assert torch.allclose(ours, whole, atol=1e-5)
