import pytest
import torch

from cryotome.learners.loop.batches import BatchLoader, to_device

CPU = torch.device("cpu")


def store(count=50):
    return torch.arange(count, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 6, 6, 3).contiguous()


def check(supply):
    rows = torch.randint(50, (7, 4), generator=torch.Generator().manual_seed(0))
    for wanted, batch in zip(rows, supply.batches(rows), strict=True):
        assert batch.shape == (4, 6, 6, 3)
        assert batch[:, 0, 0, 0].tolist() == wanted.tolist()
    assert supply.take(rows[3])[:, 5, 5, 2].tolist() == rows[3].tolist()


def test_batches_come_in_the_order_asked_for():
    supply = BatchLoader(store(), CPU)
    check(supply)
    assert supply.where == "patches in memory, 0.00 GB"


def test_nothing_is_copied_to_where_it_is():
    values = torch.ones(3)
    assert to_device(values, CPU) is values


@pytest.mark.gpu
def test_a_store_that_fits_lies_on_the_gpu():
    supply = BatchLoader(store(), torch.device("cuda"))
    assert supply.pixels.is_cuda
    assert "on the GPU" in supply.where
    check(supply)


@pytest.mark.gpu
def test_a_store_that_does_not_fit_comes_batch_by_batch(monkeypatch):
    monkeypatch.setattr("cryotome.learners.loop.batches.MAX_GPU_FRACTION", 0.0)
    supply = BatchLoader(store(), torch.device("cuda"))
    assert not supply.pixels.is_cuda
    assert "in host memory" in supply.where
    check(supply)
    check(supply)  # the slots are used again
