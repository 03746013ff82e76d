"""Train a whole network on patches; keep the best and the last checkpoint's scores."""

from pathlib import Path
from time import perf_counter

import torch
from scipy.special import expit

from cryotome import recipes
from cryotome.encoders import build_classifier, check_side, pick_device, use_threads
from cryotome.endtoend import read_material, score_cells, train_endtoend
from cryotome.job import run
from cryotome.predictions import SCORED, write_predictions


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
    material = read_material(patches, cells, split)
    train, watch, scored = (material.cells(*r) for r in (["train"], ["validation"], SCORED))
    seed, on, side = card["seed"] + fold, pick_device(device), material.stamps["seen"]
    check_side(encoder, model, side)
    network, weights = build_classifier(encoder, model, weights_dir, seed=seed)
    network = network.to(on).to(memory_format=torch.channels_last)
    start = perf_counter()
    fit = train_endtoend(
        network, material.pixels, train, watch, card, side=side, seed=seed, device=on
    )
    notes = {"weights_sha256": weights, "model": model, "head": card, "n_train": len(train.rows)}
    notes |= {"cost_seconds": round(perf_counter() - start, 1)}
    notes |= {"recipe": recipe, "history": fit.history, "device": str(on)}
    notes |= {name: material.stamps[name] for name in ("cells_sha256", "patches_sha256")}
    roles = material.roles.loc[material.roles["role"].isin(SCORED), ["id", "role"]]
    for path, state, kept in ((best, fit.best, "best"), (last, fit.last, "last")):
        network.load_state_dict(state)
        logits = score_cells(network, material.pixels, scored.rows, side=side, device=on)
        scores = expit(logits.astype(float))  # in float32, sure cells would tie at 1
        noted = notes | {"checkpoint": kept}
        write_predictions(path, roles, scored.label, scores, split=split, notes=noted)


if __name__ == "__main__":
    run(main)
