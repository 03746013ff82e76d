import numpy as np
import torch

from cryotome.learners.dinov2.sampling import (
    CROPS,
    MASKS,
    ImageSampler,
    generator_for,
    torch_generator_for,
)


def test_every_image_comes_once_a_pass_and_passes_differ():
    rows = np.arange(100, 110)
    order = ImageSampler(rows, 0)
    seen = torch.cat([order.batch(at, 4) for at in range(5)]).numpy()  # 20: two passes
    assert sorted(seen[:10]) == sorted(seen[10:]) == rows.tolist()
    assert seen[:10].tolist() != seen[10:].tolist()


def test_a_batch_is_known_from_its_number_alone():
    first, again = ImageSampler(np.arange(50), 3), ImageSampler(np.arange(50), 3)
    first.batch(0, 8), first.batch(1, 8)
    assert first.batch(17, 8).tolist() == again.batch(17, 8).tolist()
    assert first.batch(17, 8).tolist() != ImageSampler(np.arange(50), 4).batch(17, 8).tolist()


def test_a_batch_may_be_larger_than_the_set():
    assert sorted(ImageSampler(np.arange(3), 0).batch(0, 6).tolist()) == [0, 0, 1, 1, 2, 2]


def test_purposes_and_iterations_have_numbers_of_their_own():
    drawn = {
        generator_for(1, purpose, at).random() for purpose in (CROPS, MASKS) for at in range(3)
    }
    assert len(drawn) == 6
    first, again = (torch.rand(2, generator=torch_generator_for(1, CROPS, 5)) for _ in range(2))
    assert torch.equal(first, again)
