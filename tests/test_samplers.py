import numpy as np
import pytest

from cryotome.samplers import Cells, class_balanced, image_balanced, natural


def test_the_image_balanced_sampler_balances_slides_and_classes():
    label = np.array([1] * 5 + [0] * 95 + [0] * 10)
    cells = Cells(np.arange(110), label, np.array(["big"] * 100 + ["small"] * 10))
    sampler = image_balanced(cells, 16, np.random.default_rng(0))
    picked = np.concatenate([next(sampler) for _ in range(200)])
    assert (picked < 100).mean() == pytest.approx(0.5, abs=0.03)
    big = picked[picked < 100]
    assert label[big].mean() == pytest.approx(0.5, abs=0.03)
    assert label[picked[picked >= 100]].sum() == 0  # the small slide gives its only class


def test_the_other_samplers():
    label = np.array([1] * 10 + [0] * 90)
    cells = Cells(np.arange(100), label, np.zeros(100))
    for sampler, share in ((class_balanced, 0.5), (natural, 0.1)):
        draws = sampler(cells, 16, np.random.default_rng(0))
        assert label[np.concatenate([next(draws) for _ in range(200)])].mean() == pytest.approx(
            share, abs=0.03
        )
