import pytest
from tests.study.costs.test_gflop import study

from cryotome.study.costs.gflop import TILES, Job
from cryotome.study.costs.prices import CostModel


def test_disk_is_pixels_vectors_and_lines():
    prices = CostModel(study("ganz2024"), on_gpu=True)
    patches = prices.cost(Job("cut_patches", {"dataset": "ccmct"}))
    assert patches.disk == pytest.approx(72845 * 272 * 272 * 3, rel=1e-3)
    names = {"dataset": "ccmct", "scheme": "random", "view": "paper-fp16", "model": "uni"}
    probe = prices.cost(Job("probe", names | {"head": "linear_probe"}))
    scored = 4 * 14_569 + (1.111 * 58_276) * 0.2  # four fractions; test cells each, validation
    assert probe.disk == pytest.approx(5 * scored * 36, rel=0.05)


def test_the_disk_of_stored_tiles_follows_their_side():
    """Of the real slide tried, a tile of 512 px takes 106 kB, one of 256 px 33 kB."""
    roth = study("roth2024")
    prices, names = CostModel(roth, on_gpu=True), {"dataset": "tcga_crc", "slide": "a"}
    tiling = roth.dataset("tcga_crc")["tiles"]["finetune"]
    assert tiling["jpeg_side"] == 512
    finetune = Job("tile_slide", names | {"tiling": "finetune"})
    assert prices.cost(finetune).disk / TILES == pytest.approx(118_000, rel=0.01)
    tiling["jpeg_side"] = 256
    assert prices.cost(finetune).disk / TILES == pytest.approx(29_500, rel=0.01)
    classify = prices.cost(Job("tile_slide", names | {"tiling": "classify"}))
    assert classify.disk < 200_000
    assert classify.cores > 100  # the filter is asked of every tile of the grid
