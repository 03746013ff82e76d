import numpy as np
import pytest

from cryotome.learners.endtoend.samplers import (
    SAMPLERS,
    Cells,
    class_balanced,
    image_balanced,
    uniform,
)


def drawn(draw, seed=0, steps=200):
    rng = np.random.default_rng(seed)
    return np.concatenate([draw(rng, 16) for _ in range(steps)])


def test_the_image_balanced_sampler_balances_slides_and_classes():
    label = np.array([1] * 5 + [0] * 95 + [0] * 10)
    cells = Cells(np.arange(110), label, np.array(["big"] * 100 + ["small"] * 10))
    picked = drawn(image_balanced(cells))
    assert (picked < 100).mean() == pytest.approx(0.5, abs=0.03)
    big = picked[picked < 100]
    assert label[big].mean() == pytest.approx(0.5, abs=0.03)
    assert label[picked[picked >= 100]].sum() == 0  # the small slide gives its only class
    assert set(picked) == set(range(110))  # each cell has its turn


def test_the_other_samplers():
    label = np.array([1] * 10 + [0] * 90)
    cells = Cells(np.arange(100), label, np.zeros(100))
    for sampler, share in ((class_balanced, 0.5), (uniform, 0.1)):
        picked = drawn(sampler(cells))
        assert label[picked].mean() == pytest.approx(share, abs=0.03)
        assert set(picked) == set(range(100))


@pytest.mark.parametrize("name", SAMPLERS)
def test_the_generator_alone_decides(name):
    cells = Cells(np.arange(40), np.arange(40) % 2, np.repeat(np.arange(4), 10))
    first, again, other = (drawn(SAMPLERS[name](cells), seed, steps=3) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()
