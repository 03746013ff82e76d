"""The student and its teacher, and one training step of both."""

from copy import deepcopy

import torch
from timm.layers import Attention
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from cryotome.core.cards import Card
from cryotome.learners.dinov2.backbone import MaskedViT
from cryotome.learners.dinov2.crops import make_crops
from cryotome.learners.dinov2.head import Head, head_logits
from cryotome.learners.dinov2.losses import cross_entropy, dino_targets, koleo, sinkhorn_knopp
from cryotome.learners.dinov2.masks import Masks
from cryotome.learners.dinov2.schedule import Schedule, apply_schedule, build_optimizer
from cryotome.learners.loop.step import autocast_for

LOSSES = ["dino_global", "dino_local", "ibot", "koleo"]


class BackboneWithHead(nn.Module):
    """A backbone with its head, as student and teacher have them."""

    def __init__(self, backbone: MaskedViT, head: Head) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head


class Learner(nn.Module):
    """A student, its teacher and the optimiser.

    The teacher is a moving average of the student. It starts as a copy, head included. Weights
    and averages are fp32.
    """

    def __init__(self, backbone: MaskedViT, card: Card, precision: torch.dtype) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(card["seed"])
            head = Head(backbone.dim, card["head"])
        self.student = BackboneWithHead(backbone, head)
        self.teacher = deepcopy(self.student).requires_grad_(False).eval()
        self.card, self.precision = card, precision
        self.grid, self.blocks = backbone.grid, len(backbone.network.blocks)

    def prepare(self, device: torch.device) -> "Learner":
        """Move to the device and build the optimiser there.

        On a CPU, unfused attention in bf16 takes half the time of the fused kernel. On a GPU, fp32
        products use TF32, which has the ten bits of the authors' fp16.
        """
        if device.type == "cuda" and self.precision == torch.bfloat16:
            torch.set_float32_matmul_precision("high")
        self.to(device).student.train()
        for network in (self.student, self.teacher):
            for layer in network.modules():
                if isinstance(layer, Attention) and device.type == "cpu":
                    layer.fused_attn = self.precision != torch.bfloat16  # type: ignore[misc]
        self.optimizer = build_optimizer(self.student, self.blocks, self.card)
        return self

    @torch.no_grad()
    def assign(self, views: Tensor, masks: Masks, temperature: float) -> tuple[Tensor, Tensor]:
        """Return the teacher's assignments of class tokens, and of tokens hidden from the student.

        Parameters
        ----------
        views : (2 * n, 3, side, side) float
            Global crops.

        Returns
        -------
        (2 * n, K) and (m, K) float32
        """
        teacher = self.teacher
        with autocast_for(views.device, self.precision):
            whole, tokens = teacher.backbone(views)
            hidden = tokens.flatten(0, 1).index_select(0, masks.place)
            points = teacher.head(torch.cat([whole, hidden]))
        prototypes = teacher.head.prototypes
        parts = points.split([len(whole), len(hidden)])
        first, second = (sinkhorn_knopp(head_logits(p, prototypes), temperature) for p in parts)
        return first, second

    def losses(self, views: tuple[Tensor, Tensor], masks: Masks, temperature: float) -> Tensor:
        """Return the four weighted losses of the student, (4,) float32.

        All 18 pairs of two global and eight local crops have equal weight; so have all masked
        crops, whatever their number of hidden tokens.

        Parameters
        ----------
        views
            Global crops (2 * n, 3, side, side) and local ones.
        temperature
            Of the teacher.
        """
        card, student = self.card, self.student
        assigned, assigned_hidden = self.assign(views[0], masks, temperature)
        with autocast_for(views[0].device, self.precision):
            whole, tokens = student.backbone(views[0], masks.hidden)
            local = student.backbone(views[1])[0]
            hidden = tokens.flatten(0, 1).index_select(0, masks.place)
            points = student.head(torch.cat([whole, local, hidden]))
        images, crops = len(whole) // 2, (len(whole) + len(local)) * 2 // len(whole)
        pairs = images * (2 + 2 * (crops - 2))
        target, rows = dino_targets(assigned, crops)
        temperature, prototypes = card["student_temperature"], student.head.prototypes
        classes, masked = points[: crops * images], points[crops * images :]
        loss = cross_entropy(classes, prototypes, target, rows, temperature=temperature)
        own = torch.arange(len(masked), device=points.device)
        hidden_loss = cross_entropy(
            masked, prototypes, assigned_hidden, own, temperature=temperature
        )
        spread = sum(koleo(crop, card["koleo_epsilon"]) for crop in whole.chunk(2))
        first, second = loss.split([2 * images, len(local)])
        dino, ibot, koleo_ = (card["loss_weights"][name] for name in ("dino", "ibot", "koleo"))
        terms = [dino * first.sum() / pairs, dino * second.sum() / pairs]
        terms += [ibot * (hidden_loss * masks.weight).sum(), koleo_ * spread]
        return torch.stack(terms)

    def learn(self, images: Tensor, draws: Tensor, masks: Masks, rates: Schedule) -> Tensor:
        """Take one step with the student and update the teacher, without waiting for the GPU.

        Parameters
        ----------
        images : (n, stored, stored, 3) uint8
        draws : (2 + local_count, n, 20) float
            From `draw_crops`. All on the device.

        Returns
        -------
        (4,) float
            The losses, in the order of `LOSSES`.
        """
        apply_schedule(self.optimizer, rates)
        self.optimizer.zero_grad(set_to_none=True)
        views = make_crops(images, draws, self.card["crops"])
        losses = self.losses(views, masks, rates.temperature)
        losses.sum().backward()
        for network in self.student.children():
            clip_grad_norm_(network.parameters(), self.card["clip_grad_norm"])
        self.optimizer.step()
        self.update_teacher(rates.momentum)
        return losses.detach()

    @torch.no_grad()
    def update_teacher(self, momentum: float) -> None:
        """Set the teacher to momentum * teacher + (1 - momentum) * student."""
        teacher: list[Tensor] = list(self.teacher.parameters())
        student: list[Tensor] = list(self.student.parameters())
        torch._foreach_mul_(teacher, momentum)
        torch._foreach_add_(teacher, student, alpha=1 - momentum)

    def export(self) -> dict[str, Tensor]:
        """Return the teacher as a state dict of timm, on the CPU."""
        state = self.teacher.backbone.network.state_dict()
        return {name: value.cpu().clone() for name, value in state.items()}
