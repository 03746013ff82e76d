from pathlib import Path

import pytest
import torch
from conftest import CONFIG
from torch.nn.functional import binary_cross_entropy_with_logits

from cryotome.core.cards import load_card
from cryotome.learners.endtoend.classifier import build_classifier
from cryotome.learners.loop.augment import draw_uniform, draws_of, make_views
from cryotome.learners.loop.step import Step, precision_of
from cryotome.runtime.devices import multiplies_bf16

CPU = torch.device("cpu")
HEAD = load_card(CONFIG, "heads", "endtoend_short")


def given(device=CPU, count=6):
    rng = torch.Generator().manual_seed(3)
    patches = torch.randint(256, (count, 40, 40, 3), dtype=torch.uint8, generator=rng)
    draws = draws_of(draw_uniform(count, rng), 32, HEAD["augment"])
    return patches.to(device), draws.to(device), (torch.arange(count) % 2).float().to(device)


def network(device=CPU):
    encoder = load_card(CONFIG, "models", "resnet10t_random")
    return build_classifier(encoder, "r", Path(), side=32, seed=1)[0].to(device).train()


def test_a_pass_leaves_the_gradients_of_the_mean_loss():
    ours, plain = network(), network()
    loss = Step(ours, 32, HEAD | {"precision": "fp32"}, CPU)(*given())
    patches, draws, target = given()
    logits = plain(make_views(patches, draws, 32, HEAD["augment"])).flatten()
    wanted = binary_cross_entropy_with_logits(logits, target)
    wanted.backward()
    assert loss.item() == pytest.approx(wanted.item(), rel=1e-5)
    for mine, theirs in zip(ours.parameters(), plain.parameters(), strict=True):
        assert torch.allclose(mine.grad, theirs.grad, atol=1e-5, rtol=1e-3)


def test_a_second_pass_does_not_add_to_the_first():
    ours = network()
    step = Step(ours, 32, HEAD | {"precision": "fp32"}, CPU)
    norms = []
    for _ in range(2):
        step(*given())
        norms.append(sum(weight.grad.norm().item() for weight in step.trained))
    assert norms[0] == pytest.approx(norms[1], rel=1e-3)


def test_precision_is_the_cards_where_the_device_has_units_for_it():
    assert precision_of(HEAD | {"precision": "fp32"}, CPU) == torch.float32
    expected = torch.bfloat16 if multiplies_bf16(CPU) else torch.float32
    assert precision_of(HEAD | {"precision": "bf16"}, CPU) == expected


class Unrepeatable(torch.nn.Module):
    """A network with an operation that has no repeatable form."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(3))

    def forward(self, x):
        place = torch.zeros(3).put_(torch.tensor([0, 1]), x.detach().flatten()[:2])
        return (x.mean((2, 3)) * (self.weight + place)).sum(1)


def test_a_network_that_cannot_be_repeated_says_so_and_trains(capsys):
    torch.use_deterministic_algorithms(True)
    try:
        with pytest.warns(UserWarning, match="put_"):
            Step(Unrepeatable(), 32, HEAD | {"precision": "fp32"}, CPU)(*given())
    finally:
        torch.use_deterministic_algorithms(False)
    assert "This training cannot be repeated bit for bit: put_ does not" in capsys.readouterr().err


@pytest.mark.gpu
def test_a_captured_pass_gives_the_gradients_of_a_launched_one():
    gpu = torch.device("cuda")
    card, both = HEAD | {"precision": "fp32"}, []
    for capture in (True, False):
        ours = network(gpu)
        step = Step(ours, 32, card, gpu, capture=capture)
        optimizer = torch.optim.SGD(ours.parameters(), lr=0.01)
        losses = []
        for _ in range(8):
            losses.append(step(*given(gpu)).item())
            optimizer.step()
        both.append(losses)
    assert both[0] == pytest.approx(both[1], abs=1e-5)
