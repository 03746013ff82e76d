from copy import deepcopy

import numpy as np
import pytest
import torch
from small_dino import coloured, finetune_card, small_learner
from torch.nn.functional import log_softmax

from cryotome.learners.dinov2.crops import draw_crops, make_crops
from cryotome.learners.dinov2.losses import koleo, sinkhorn_knopp
from cryotome.learners.dinov2.masks import Masks, draw_masks
from cryotome.learners.dinov2.sampling import CROPS, generator_for, torch_generator_for
from cryotome.learners.dinov2.schedule import Schedule
from cryotome.learners.dinov2.student_teacher import LOSSES


def batch(card, count=4, at=0):
    images = coloured(count).loader.pixels
    draws = draw_crops(count, 28, card["crops"], torch_generator_for(0, CROPS, at))
    return images, draws, Masks.of(draw_masks(2 * count, 4, card["masks"], generator_for(0, 2, at)))


def test_the_teacher_begins_as_the_student_head_included():
    learner = small_learner(finetune_card())
    mine, its = learner.teacher.state_dict(), learner.student.state_dict()
    assert all(torch.equal(mine[name], its[name]) for name in its)
    assert not any(weight.requires_grad for weight in learner.teacher.parameters())


def test_equal_seeds_give_equal_heads_and_others_do_not():
    heads = [small_learner(finetune_card(seed=seed)).student.head for seed in (1, 1, 2)]
    first, again, other = (head.layers[0].weight for head in heads)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_losses_are_those_of_a_plain_writing():
    """18 pairs there, here 2 + 2 * 2; masked tokens by crop; KoLeo of both global crops."""
    card = finetune_card()
    learner = small_learner(card)
    with torch.no_grad():
        for weight in learner.student.parameters():
            weight.add_(
                0.02 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1))
            )
        images, draws, masks = batch(card)
        views = make_crops(images, draws, card["crops"])
        found = dict(zip(LOSSES, learner.losses(views, masks, 0.05).tolist(), strict=True))
        t, s = learner.teacher, learner.student
        logits = lambda net, x: net.head(x) @ net.head.prototypes.T  # noqa: E731
        whole, tokens = t.backbone(views[0])
        one, two = sinkhorn_knopp(logits(t, whole), 0.05).chunk(2)
        hidden = sinkhorn_knopp(logits(t, tokens[masks.hidden]), 0.05)
        mine, its = s.backbone(views[0], masks.hidden)
        said = [log_softmax(part, 1) for part in (logits(s, mine) / 0.1).chunk(2)]
        local = log_softmax(logits(s, s.backbone(views[1])[0]) / 0.1, 1).chunk(2)
        ce = lambda q, p: -(q * p).sum(1).mean()  # noqa: E731
        assert found["dino_global"] == pytest.approx(
            float(ce(one, said[1]) + ce(two, said[0])) / 6, abs=1e-5
        )
        every = sum(ce(q, p) for q in (one, two) for p in local)
        assert found["dino_local"] == pytest.approx(float(every) / 6, abs=1e-5)
        guess = -(hidden * log_softmax(logits(s, its[masks.hidden]) / 0.1, 1)).sum(1)
        crop = masks.hidden.nonzero()[:, 0]
        means = [float(guess[crop == at].mean()) for at in crop.unique()]
        assert found["ibot"] == pytest.approx(sum(means) / 8, abs=1e-5)
        both = sum(float(koleo(part, 1e-4)) for part in mine.chunk(2))
        assert found["koleo"] == pytest.approx(0.1 * both, abs=1e-5)


def test_the_teacher_follows_by_its_momentum():
    learner = small_learner(finetune_card())
    before = deepcopy(learner.teacher.state_dict())
    with torch.no_grad():
        for weight in learner.student.parameters():
            weight.add_(1.0)
    learner.update_teacher(0.9)
    for name, value in learner.teacher.named_parameters():
        assert torch.allclose(value, before[name] + 0.1, atol=1e-6), name


def test_gradients_are_clipped_for_backbone_and_head_apart():
    card = finetune_card(clip_grad_norm=1e-3)
    learner = small_learner(card)
    learner.learn(*batch(card), Schedule(0.0, 0.0, 0.0, 1.0, 0.04))
    for part in (learner.student.backbone, learner.student.head):
        norms = [weight.grad.norm() for weight in part.parameters() if weight.grad is not None]
        assert float(torch.stack(norms).norm()) == pytest.approx(1e-3, rel=1e-3)


def test_a_step_moves_the_student_all_of_it_and_the_teacher_behind_it():
    card = finetune_card()
    learner = small_learner(card)
    before, old = (deepcopy(n.state_dict()) for n in (learner.student, learner.teacher))
    losses = learner.learn(*batch(card), Schedule(1e-3, 0.04, 1e-3, 0.9, 0.04))
    assert losses.isfinite().all()
    moved = {n for n, w in learner.student.named_parameters() if not torch.equal(w, before[n])}
    assert moved == {name for name, _ in learner.student.named_parameters()}
    for name, value in learner.teacher.named_parameters():
        now = dict(learner.student.named_parameters())[name]
        assert torch.allclose(value, 0.9 * old[name] + 0.1 * now, atol=1e-6)


def test_one_batch_is_learned_far_below_the_uniform_level():
    """It cannot reach zero: the teacher's assignments are no single prototypes."""
    card = finetune_card(weight_decay=[0, 0])
    learner = small_learner(card)
    images, draws, masks = batch(card)
    sums = []
    for _ in range(120):
        losses = learner.learn(images, draws, masks, Schedule(3e-3, 0, 3e-3, 0.9, 0.04))
        sums.append(float(losses[:3].sum()))
    uniform = np.log(64) * 1.5  # the masked half of the crops counts half
    assert sums[0] > 0.9 * uniform
    assert min(sums[-10:]) < 0.8 * uniform
