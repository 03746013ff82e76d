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


def test_models_of_the_largest_fraction_are_counted_by_what_they_keep():
    def disk(rule: str, keep: bool, fraction: str = "1.0", **names: str) -> float:
        job = Job(rule, {"dataset": "ccmct", "scheme": "random", "fraction": fraction} | names)
        return CostModel(study("ammeling2025", keep=keep), on_gpu=True).cost(job).disk

    def model(rule: str, **names: str) -> float:
        return disk(rule, True, **names) - disk(rule, False, **names)

    trained = {"rule": "train_endtoend", "fold": "0"}
    whole = model(**trained, model="resnet50_imagenet", head="endtoend")
    assert whole == pytest.approx(4 * 23_508_032, rel=1e-3)
    adapters = model(**trained, model="uni", head="lora")
    assert adapters == pytest.approx(4 * 6.3e6, rel=0.1)
    assert model(**trained, model="uni", head="lora", fraction="0.1") == 0
    probe = {"rule": "probe", "view": "paper-fp16", "model": "uni"}
    assert model(**probe, head="linear_probe") == pytest.approx(5 * (4096 + 2 * 8 * 1024))
    assert model(**probe, head="knn") == pytest.approx(5 * (4096 + 16 * 72_845))


def test_models_of_slides_are_counted():
    roth, names = study("roth2024"), {"dataset": "tcga_crc", "scheme": "patient_folds", "fold": "0"}
    job = Job(
        "train_mil", names | {"view": "paper-fp16", "model": "uni", "head": "transformer_mil"}
    )
    assert CostModel(roth, on_gpu=True).cost(job).disk == pytest.approx(4 * 3.7e6, rel=0.02)
