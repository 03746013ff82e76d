import pytest
import yaml
from conftest import CONFIG

from cryotome.data.demo.mitoses import CELLS, SLIDES
from cryotome.study.checks import checked_study
from cryotome.study.costs.prices import (
    DEMO_CELLS,
    TILES,
    Cost,
    CostModel,
    Job,
    cells_of,
    gflop_of,
    roles_of,
    study_gflop,
)
from cryotome.study.load import config_file
from cryotome.study.study import Study


def study(name: str, **changes: object) -> Study:
    return checked_study(
        yaml.safe_load(config_file(name, CONFIG).read_text(encoding="utf-8")) | changes, CONFIG
    )


def training(**changes: str) -> Job:
    names = {
        "dataset": "ccmct",
        "scheme": "random",
        "model": "resnet50_imagenet",
        "head": "endtoend",
    }
    return Job("train_endtoend", names | {"fraction": "1.0", "fold": "0"} | changes)


def test_a_store_is_counted_once_and_at_the_side_that_the_network_sees():
    row = {"model": "retccl", "head": "ridge"}
    two = [row, {"model": "retccl", "head": "linear_probe"}]
    changes = {
        "datasets": ["amibr"],
        "rows": two,
        "reference": None,
        "figure2": [row],
        "device": "cpu",
    }
    paper = study("amibr", **changes)  # resized to 256 px, the input of the network
    assert study_gflop(paper) == pytest.approx(3720 * 10.7)
    row = {"model": "resnet50_imagenet", "head": "ridge"}
    bare = study(
        "amibr", **changes | {"rows": [row], "reference": None, "figure2": [row]}
    )  # 64 px as they are
    assert study_gflop(bare) == pytest.approx(3720 * 8.2 * (64 / 224) ** 2)


def test_cells_are_those_of_the_card_or_of_the_invented_tissue():
    assert cells_of(study("ganz2024"), "ccmct") == {"canine_mast_cell": 72845}
    assert sum(cells_of(study("ganz2024"), "midog2022").values()) == 20552
    assert cells_of(study("demo"), "demo_slides") == {"mast_cell": 512}
    assert DEMO_CELLS == SLIDES * CELLS


@pytest.mark.parametrize(
    ("dataset", "scheme", "fraction", "train", "validation", "test"),
    [
        ("ccmct", "random", "0.1", 4661, 1166, 14569),
        ("midog2022", "random", "1.0", 13153, 3289, 4110),
        ("midog2022", "from_human_breast", "1.0", 2838, 710, 887 + 16117),
        ("midog2022", "except_human_breast", "1.0", 12893, 3224, 4435),
        ("midog2022", "except_human_breast_matched", "1.0", 12893, 3224, 4435),
    ],
)
def test_roles_are_about_those_of_the_split(dataset, scheme, fraction, train, validation, test):
    found = roles_of(study("ganz2024"), dataset, scheme, fraction)
    expected = {"train": train, "validation": validation, "test": test}
    assert found == pytest.approx(expected, abs=1.5)


def test_a_training_is_three_forwards_a_step_and_its_looks_and_two_scorings():
    ganz = study("ganz2024")  # 8,000 steps of 16, 100 looks; 11,655 validate, 14,569 test
    seen = 3 * 8000 * 16 + 100 * 11_655 + 2 * (11_655 + 14_569)
    assert gflop_of(ganz, training()) == pytest.approx(8.2 * seen, rel=1e-3)
    drawn = 3 * 8000 * 16 + 100 * 1_280 + 2 * (11_655 + 14_569)
    head = training(head="endtoend_followup")
    assert gflop_of(ganz, head) == pytest.approx(8.2 * drawn, rel=1e-3)
    assert study_gflop(ganz) > 65 * 8.2 * 3 * 8000 * 16


def test_a_network_costs_seconds_of_the_device_it_runs_on():
    ganz = study("ganz2024")
    embed = Job("embed", {"dataset": "ccmct", "view": "paper-fp16", "model": "uni"})
    work = 72845 * 123.1  # GFLOP
    on_gpu, on_cores = (CostModel(ganz, on_gpu=it).cost(embed) for it in (True, False))
    assert on_gpu.gpu == pytest.approx(10 + work / 120_000, rel=0.01)
    assert on_gpu.cores == pytest.approx(2 * on_gpu.gpu)
    assert (on_cores.gpu, on_cores.cores) == (0, pytest.approx(10 + work / 50, rel=0.01))
    assert on_gpu.disk == on_cores.disk == pytest.approx(72845 * (1024 * 4 + 8), rel=1e-3)


def test_a_small_network_on_a_gpu_waits_for_its_steps():
    demo = study("demo")
    job = training(dataset="demo_rois", model="resnet10t_random", head="endtoend_short")
    assert CostModel(demo, on_gpu=True).cost(job).gpu == pytest.approx(10 + 100 * 0.02)


def test_a_measured_rate_wins():
    ganz, name = study("ganz2024"), ("train_endtoend", "resnet50_imagenet", "endtoend")
    prices = CostModel(ganz, on_gpu=True, rates={name: 30_000.0})
    assert prices.cost(training()).gpu == pytest.approx(10 + gflop_of(ganz, training()) / 30_000)


def test_disk_is_pixels_vectors_and_lines():
    prices = CostModel(study("ganz2024"), on_gpu=True)
    patches = prices.cost(Job("cut_patches", {"dataset": "ccmct"}))
    assert patches.disk == pytest.approx(72845 * 272 * 272 * 3, rel=1e-3)
    names = {"dataset": "ccmct", "scheme": "random", "view": "paper-fp16", "model": "uni"}
    probe = prices.cost(Job("probe", names | {"head": "linear_probe"}))
    scored = 4 * 14_569 + (1.111 * 58_276) * 0.2  # four fractions; test cells each, validation
    assert probe.disk == pytest.approx(5 * scored * 36, rel=0.05)


def test_a_checkpoint_is_weights_twice_and_the_two_moments_of_adam():
    prices = CostModel(study("ganz2024"), on_gpu=True)
    assert prices.byproduct_cost(training()) == 4 * 4 * 23_508_032


def test_costs_add_up():
    assert Cost(1, 2, 3) + Cost(10, 20, 30) == Cost(11, 22, 33)


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
