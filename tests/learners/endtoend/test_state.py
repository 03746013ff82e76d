import re
from pathlib import Path

import pytest
import torch
from conftest import CONFIG
from tests.learners.endtoend.test_train import CPU, head, part, toy, train, training_data

from cryotome.core.cards import load_card
from cryotome.core.errors import TrainingError
from cryotome.learners.endtoend.classifier import build_classifier
from cryotome.learners.endtoend.train import train_endtoend
from cryotome.learners.loop.batches import BatchLoader
from cryotome.learners.loop.checkpoints import checkpointed


def test_the_log_says_device_speed_and_time_left(capsys):
    train(steps=20)
    said = capsys.readouterr().err
    assert "Training 4,9" in said
    assert "on 40 cells, 24 to validate; processor, " in said
    assert "fp32; patches in memory, 0.00 GB." in said.replace("float32", "fp32")
    lines = [line for line in said.splitlines() if line.startswith("Step ")]
    assert [line.split(":")[0] for line in lines] == ["Step 10 of 20", "Step 20 of 20"]
    assert all("patches/s, " in line and " to go." in line for line in lines)
    assert lines[-1].endswith(" 0:00:00 to go.")


def test_a_diverged_training_names_step_rate_and_the_last_good_checkpoint(tmp_path):
    with (
        pytest.raises(TrainingError) as error,
        checkpointed(tmp_path / "partial", {}) as checkpoint,
    ):
        train(steps=40, every=4, learning_rate=1e30, checkpoint=checkpoint)
    said = str(error.value)
    assert re.match(r"The loss is (nan|inf) at step \d+ of 40, at a learning rate of \d", said), (
        said
    )
    assert "learning_rate" in said
    assert "There is no good checkpoint yet" in said


def test_a_training_that_diverges_late_keeps_its_last_good_checkpoint(tmp_path):
    """The weights become infinite after the second look."""
    with (
        pytest.raises(
            TrainingError, match="; the best evaluation was after step 8. Lower"
        ) as error,
        checkpointed(tmp_path / "partial", {}) as checkpoint,
    ):
        breaking(checkpoint, after=8)
    assert f"The last good checkpoint is {tmp_path / 'partial' / 'checkpoint.pt'}" in str(
        error.value
    )
    assert torch.load(tmp_path / "partial" / "checkpoint.pt")["step"] in (4, 8)


def breaking(checkpoint, after):
    """Train with a network whose weights become infinite after so many steps."""
    patches, cells = toy()
    encoder = load_card(CONFIG, "models", "resnet10t_random")
    network, _ = build_classifier(encoder, "r", Path(), side=32, seed=1)
    passes = []

    def spoil(module, inputs):
        if module.training:
            passes.append(1)
            if len(passes) == after + 2:
                module[1].weight.data.fill_(torch.inf)

    network.register_forward_pre_hook(spoil)
    both = training_data(patches, part(cells, slice(0, 40)), part(cells, slice(40, 64)))
    checkpoint._cost = 0
    train_endtoend(
        network,
        both,
        head(steps=40, every=4),
        seed=1,
        loader=BatchLoader(patches, CPU),
        checkpoint=checkpoint,
    )
