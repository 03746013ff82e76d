from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import CONFIG
from scipy.special import expit
from tests.learners.endtoend.test_lora import SETTINGS

from cryotome.core.cards import load_card
from cryotome.core.errors import StoreError, WeightsError
from cryotome.learners.endtoend.classifier import build_classifier
from cryotome.learners.endtoend.kept_network import write_network
from cryotome.learners.endtoend.training_data import copy_weights
from cryotome.learners.kept import load_kept

PLACE = "models/d/random/view=patches/model=m/head=h/fraction=1.0/fold=0.safetensors"
WAYS = {
    "all": ("resnet10t_random", {}),
    "lora": ("vit_tiny_random", {"lora": SETTINGS}),
    "last_blocks": ("resnet10t_random", {"last_blocks": 1}),
}
PATCHES = np.random.default_rng(0).integers(0, 256, size=(5, 32, 32, 3), dtype=np.uint8)


def trained(model: str, head: dict, seed: int = 3):
    """Return a classifier whose trained weights and statistics have moved, and its record."""
    card = load_card(CONFIG, "models", model)
    network, known = build_classifier(card, model, Path(), side=32, seed=seed, head=head)
    generator = torch.Generator().manual_seed(1)
    free = {name for name, weight in network.named_parameters() if weight.requires_grad}
    moves = free | ({name for name, _ in network.named_buffers()} if not head else set())
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if name in moves and value.is_floating_point():
                value += 0.02 * (torch.rand(value.shape, generator=generator) - 0.5)
    about = {"encoder": card, "head_card": head, "weights_sha256": known, "precision": "float32"}
    return network, about | {"seed": seed, "patch": {"side": 32}, "model": model}


def save(folder: Path, way: str) -> tuple[Path, np.ndarray]:
    network, about = trained(*WAYS[way])
    write_network(folder / PLACE, network, copy_weights(network), about)
    pixels = torch.from_numpy(PATCHES).permute(0, 3, 1, 2).float() / 255
    with torch.inference_mode():
        logits = network.eval()(pixels.contiguous(memory_format=torch.channels_last))
    return folder / PLACE, expit(logits.double().flatten().numpy())


@pytest.mark.parametrize("way", WAYS)
def test_a_network_scores_from_its_file_as_it_did(tmp_path, way):
    path, scores = save(tmp_path, way)
    model = load_kept(path)
    assert model.score(PATCHES) == pytest.approx(scores, abs=1e-6)
    assert np.ptp(scores) > 1e-4
    wide = np.pad(PATCHES, [(0, 0), (4, 4), (4, 4), (0, 0)])
    assert model.score(wide) == pytest.approx(scores, abs=1e-6)


def test_frozen_weights_are_not_kept_a_second_time(tmp_path):
    parameters = {}
    for way in WAYS:
        path, _ = save(tmp_path / way, way)
        parameters[way] = sum(value.numel() for value in trained(*WAYS[way])[0].parameters())
        size = path.stat().st_size / 4
        kept = dict(trained(*WAYS[way])[0].named_parameters())
        free = sum(weight.numel() for weight in kept.values() if weight.requires_grad)
        assert free <= size < free + 40_000  # names, record, running statistics
    assert parameters["lora"] > 5_000_000


def test_patches_that_do_not_fit_are_refused(tmp_path):
    model = load_kept(save(tmp_path, "all")[0])
    for wrong in (
        PATCHES[:, :30, :30],
        PATCHES / 255,
        PATCHES[0],
        PATCHES[:, :, :, :2],
        PATCHES[:0],
    ):
        with pytest.raises(StoreError, match=r"sees 32 px. Give \(n, 32, 32, 3\) uint8, RGB"):
            model.score(wrong)


def test_other_weights_of_the_encoder_are_refused(tmp_path):
    network, about = trained(*WAYS["last_blocks"])
    about["weights_sha256"] = "another"
    write_network(tmp_path / PLACE, network, copy_weights(network), about)
    with pytest.raises(WeightsError, match="was trained on weights of m with the sha256 another"):
        load_kept(tmp_path / PLACE)


def test_weights_of_another_network_are_refused(tmp_path):
    network, about = trained(*WAYS["all"])
    state = copy_weights(network)
    state.pop("1.bias")
    write_network(tmp_path / PLACE, network, state, about)
    with pytest.raises(StoreError, match="fold=0.safetensors holds the weights of another network"):
        load_kept(tmp_path / PLACE)
    network, about = trained(*WAYS["last_blocks"])
    about["head_card"] = {"last_blocks": 2}
    write_network(tmp_path / PLACE, network, copy_weights(network), about)
    with pytest.raises(StoreError, match="fold=0.safetensors holds the weights of another network"):
        load_kept(tmp_path / PLACE)


def test_weights_made_here_are_found_from_the_model(tmp_path, monkeypatch):
    """A card of a finetuned encoder names its file as the workflow's folder does."""
    from cryotome.learners.endtoend.kept_network import _with_own_file

    card = {"weights": {"finetune": "f", "file": "results/encoders/f.pt"}}
    path = tmp_path / "results" / PLACE
    monkeypatch.chdir(tmp_path)
    found = _with_own_file(card, path)["weights"]["file"]
    assert found == str(tmp_path / "results/encoders/f.pt")
    assert _with_own_file({"weights": {"random": 0}}, path) == {"weights": {"random": 0}}
