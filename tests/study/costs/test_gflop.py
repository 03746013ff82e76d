import pytest
import yaml
from conftest import CONFIG

from cryotome.data.demo.mitoses import CELLS, SLIDES
from cryotome.study.checks import checked_study
from cryotome.study.costs.gflop import DEMO_CELLS, Job, cells_of, gflop_of, roles_of, study_gflop
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
        "view": {"transform": "paper", "precision": "fp32"},
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
    assert cells_of(study("demo"), "demo_slides") == {"mast_cell": 392}
    assert DEMO_CELLS == SLIDES * CELLS


@pytest.mark.parametrize(
    ("dataset", "scheme", "fraction", "train", "validation", "test"),
    [
        ("ccmct", "random", "0.1", 4661, 1166, 14569),
        ("midog2022", "random", "1.0", 13153, 3289, 4110),
        ("midog2022", "from_human_breast", "1.0", 2838, 710, 887 + 16117),
        ("midog2022", "except_human_breast", "1.0", 12893, 3224, 4435),
        ("midog2022", "from_scanner_histech", "1.0", 3288, 822, 1028 + 15414),
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
