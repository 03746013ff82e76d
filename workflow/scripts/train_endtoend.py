"""Train a whole network on patches; keep the best and the last checkpoint's scores."""

from pathlib import Path

import pandas as pd
import torch
from scipy.special import expit

from cryotome import recipes
from cryotome.encoders import build_classifier, check_side, pick_device, use_threads
from cryotome.endtoend import Cells, score_cells, train_endtoend
from cryotome.job import run
from cryotome.patches import read_patches
from cryotome.predictions import SCORED, write_predictions
from cryotome.splits import rows_of


def main(
    patches: Path,
    cells: Path,
    split: Path,
    best: Path,
    last: Path,
    recipe: int,
    card: dict,
    encoder: dict,
    model: str,
    fold: int,
    weights_dir: Path,
    device: str,
    threads: int,
) -> None:
    assert recipe == recipes.ENDTOEND
    use_threads(threads)
    pixels, ids, stamps = read_patches(patches, cells=cells)
    roles, store = pd.read_csv(split), torch.from_numpy(pixels)
    about = pd.read_csv(cells, index_col="id").loc[roles["id"]]
    label, slide, place = (
        about["label"].to_numpy(),
        about["slide"].to_numpy(),
        rows_of(ids, roles["id"]),
    )
    train, watch = (
        Cells(place[mine], label[mine], slide[mine])
        for mine in (roles["role"] == role for role in ("train", "validation"))
    )
    seed, on, side = card["seed"] + fold, pick_device(device), int(stamps["seen"])
    check_side(encoder, model, side)
    network, weights = build_classifier(encoder, model, weights_dir, seed=seed)
    network = network.to(on).to(memory_format=torch.channels_last)
    fit = train_endtoend(network, store, train, watch, card, side=side, seed=seed, device=on)
    notes = {"weights_sha256": weights, "model": model, "head": card, "n_train": len(train.rows)}
    notes |= {"recipe": recipe, "history": fit.history, "device": str(on)}
    notes |= {name: stamps[name] for name in ("cells_sha256", "patches_sha256")}
    scored = roles["role"].isin(SCORED)
    for path, state, kept in ((best, fit.best, "best"), (last, fit.last, "last")):
        network.load_state_dict(state)
        scores = expit(score_cells(network, store, place[scored], side=side, device=on))
        noted = notes | {"checkpoint": kept}
        write_predictions(path, roles[scored], label[scored], scores, split=split, notes=noted)


if __name__ == "__main__":
    run(main)
