"""Train a whole network on patches; keep the best and the last checkpoint's scores."""

from importlib.metadata import version
from pathlib import Path

from cryotome import recipes
from cryotome.checkpoints import checkpointed
from cryotome.encoders import build_classifier, pick_device, use_threads
from cryotome.endtoend import read_material, score_material, train_endtoend
from cryotome.job import run
from cryotome.paths import sha256
from cryotome.predictions import write_predictions


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
    partial: Path,
    weights_dir: Path,
    device: str,
    threads: int,
) -> None:
    assert recipe == recipes.ENDTOEND
    use_threads(threads)
    on, seed = pick_device(device), card["seed"] + fold
    material = read_material(patches, cells, split)
    network, weights = build_classifier(
        encoder, model, weights_dir, side=material.side, seed=seed, device=on
    )
    notes = {"weights_sha256": weights, "model": model, "head": card, "recipe": recipe}
    notes |= {name: material.stamps[name] for name in ("cells_sha256", "patches_sha256")}
    decides = notes | {"encoder": encoder, "seed": seed, "split_sha256": sha256(split)}
    decides |= {"device": on.type, "torch": version("torch")}
    with checkpointed(partial, decides) as checkpoint:
        fit = train_endtoend(network, material, card, seed=seed, device=on, checkpoint=checkpoint)
        notes |= {"n_train": len(material.cells("train").rows), "history": fit.history}
        notes |= {"device": str(on), "cost_seconds": round(fit.seconds, 1)}
        for path, state, kept in ((best, fit.best, "best"), (last, fit.last, "last")):
            roles, labels, scores = score_material(network, state, material, device=on)
            noted = notes | {"checkpoint": kept}
            write_predictions(path, roles, labels, scores, split=split, notes=noted)


if __name__ == "__main__":
    run(main)
