import numpy as np
import pytest

from cryotome.learners.probes.penalty import Penalty, weight_norm


def test_the_gradient_of_a_norm_is_its_strength_in_the_direction_of_the_weights():
    point = np.array([[[3.0, 4.0, 7.0]]])  # two weights, a bias
    value, gradient = Penalty(np.array([2.0]), False).value(point, np.array([0]))
    assert value == pytest.approx([10.0])
    assert gradient.tolist() == [[[pytest.approx(1.2), pytest.approx(1.6), 0.0]]]
    assert weight_norm(point).tolist() == [5.0]
