"""A study says all of itself: nothing of the demo's config reaches it through Snakemake."""

import pytest
import yaml
from accidents import checkout
from small_study import plan, snakemake

LEAST = {
    "study": "least",
    "datasets": ["demo_rois"],
    "rows": [{"model": "colour_histogram", "head": "ridge"}],
}


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    return checkout(tmp_path_factory.mktemp("least"))


def write(clone, name: str, study: dict) -> list[str]:
    (clone / name).write_text(yaml.dump(study), encoding="utf-8")
    return ["--configfile", name]


def test_three_keys_are_a_study_with_the_defaults_of_the_schema(clone):
    planned = plan(clone, *write(clone, "least.yaml", LEAST))
    assert planned["split_cells"] == 5 * 4  # folds; random and three domains
    assert planned["make_demo"] == 1
    assert not {"roth_table", "finetune_dinov2", "train_endtoend"} & set(planned)


def test_the_command_line_wins_over_a_default_even_with_the_demos_value(clone):
    ask = [*write(clone, "least.yaml", LEAST), "--config", "folds=2"]
    assert plan(clone, *ask)["split_cells"] == 2 * 4


def test_a_key_within_a_block_does_not_come_from_the_demo(clone):
    slides = {"cohort": "demo_cohort", "scheme": "patient_folds"}
    part = {"rows": ["dinov2_tiny_random"], "slides": slides}
    ask = write(clone, "part.yaml", LEAST | {"colorectal": part})
    assert "colorectal.slides: 'heads' is a required property" in snakemake(
        clone, "-n", *ask, check=False
    )
