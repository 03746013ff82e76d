import pytest
from tests.study.costs.test_gflop import study, training

from cryotome.study.costs.gflop import (
    Job,
    gflop_of,
)
from cryotome.study.costs.prices import Cost, CostModel


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
    job = training(dataset="demo_rois", model="efficientnet_lite0", head="endtoend_brief")
    assert CostModel(demo, on_gpu=True).cost(job).gpu == pytest.approx(10 + 24 * 0.02)


def test_a_measured_rate_wins():
    ganz, name = study("ganz2024"), ("train_endtoend", "resnet50_imagenet", "endtoend")
    prices = CostModel(ganz, on_gpu=True, rates={name: 30_000.0})
    assert prices.cost(training()).gpu == pytest.approx(10 + gflop_of(ganz, training()) / 30_000)


def test_a_checkpoint_is_weights_twice_and_the_two_moments_of_adam():
    prices = CostModel(study("ganz2024"), on_gpu=True)
    assert prices.byproduct_cost(training()) == 4 * 4 * 23_508_032


def test_costs_add_up():
    assert Cost(1, 2, 3) + Cost(10, 20, 30) == Cost(11, 22, 33)
