import numpy as np
import pytest

from cryotome.encoders.colour_histogram import colour_histogram


def test_a_colour_histogram_counts_colours():
    patches = np.zeros((2, 4, 4, 3), np.uint8)
    patches[1, :2] = 255
    counts = colour_histogram(patches, 4).reshape(2, 6, 4)
    assert counts.sum(axis=2) == pytest.approx(np.ones((2, 6)))
    assert counts[0, 0].tolist() == [1, 0, 0, 0]  # all black
    assert counts[1, 0].tolist() == [0.5, 0, 0, 0.5]  # half white
