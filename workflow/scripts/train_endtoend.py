"""Train a network on patches; keep the best and the last checkpoint's scores, and the curve."""

from pathlib import Path

from cryotome.core import step_versions
from cryotome.core.files import sha256
from cryotome.learners.endtoend.classifier import build_classifier
from cryotome.learners.endtoend.run import PANELS, Run
from cryotome.learners.endtoend.training_data import read_training_data
from cryotome.learners.loop.batches import BatchLoader
from cryotome.learners.loop.checkpoints import checkpointed
from cryotome.learners.loop.curves import title_of, write_curve
from cryotome.runtime.devices import set_up_device
from cryotome.runtime.job import run_script


def main(
    patches: Path, cells: Path, split: Path, best: Path, last: Path, curve: Path, picture: Path,
    kept: list[Path], recipe: int, card: dict, encoder: dict, model: str, fold: int,
    synthetic: bool, trained_on: dict, partial: Path, weights_dir: Path, device: str, threads: int,
) -> None:  # fmt: skip
    assert recipe == step_versions.ENDTOEND
    on, seed = set_up_device(device, threads, exact=True), card["seed"] + fold
    data = read_training_data(patches, cells, split, soft=card.get("labels") == "soft")
    how = {"side": data.side, "seed": seed, "head": card}
    network, weights = build_classifier(encoder, model, weights_dir, **how)
    run = Run(network.to(on), data, card, BatchLoader(data.pixels, on), seed)
    notes = run.notes(model, weights, recipe)
    decides = notes | run.environment() | {"encoder": encoder, "split_sha256": sha256(split)}
    with checkpointed(partial, decides) as checkpoint:
        fit = run.train(checkpoint)
        run.write_both(fit, (best, last), split, notes | fit.cost(on))
        run.keep(kept, fit.best, decides | trained_on)
        said = {"title": title_of(picture), "synthetic": synthetic, "kept": fit.kept}
        write_curve(fit.curve, PANELS, curve, picture, **said)


if __name__ == "__main__":
    run_script(main)
