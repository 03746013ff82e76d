"""Train a network on patches; keep the best and the last checkpoint's scores, and the curve."""

from importlib.metadata import version
from pathlib import Path

from cryotome.core import step_versions
from cryotome.core.files import sha256
from cryotome.learners.endtoend.classifier import build_classifier
from cryotome.learners.endtoend.lora import save_lora
from cryotome.learners.endtoend.train import train_endtoend
from cryotome.learners.endtoend.training_data import read_training_data, score_held_out
from cryotome.learners.loop.batches import BatchLoader
from cryotome.learners.loop.checkpoints import checkpointed
from cryotome.learners.loop.curves import write_curve
from cryotome.learners.loop.step import precision_of
from cryotome.learners.predictions import write_predictions
from cryotome.runtime.devices import peak_memory, pick_device, repeat_exactly, use_threads
from cryotome.runtime.job import run_script


def main(
    patches: Path, cells: Path, split: Path, best: Path, last: Path, curve: Path, picture: Path,
    recipe: int, card: dict, encoder: dict, model: str, fold: int, synthetic: bool, partial: Path,
    weights_dir: Path, device: str, threads: int,
) -> None:  # fmt: skip
    assert recipe == step_versions.ENDTOEND
    use_threads(threads)
    on, seed = pick_device(device), card["seed"] + fold
    repeat_exactly(on)
    data = read_training_data(patches, cells, split)
    network, weights = build_classifier(
        encoder, model, weights_dir, side=data.side, seed=seed, lora=card.get("lora")
    )
    network, loader = network.to(on), BatchLoader(data.pixels, on)
    precision = precision_of(card, on)
    notes = {"weights_sha256": weights, "model": model, "head": card, "recipe": recipe}
    notes |= {name: data.stamps[name] for name in ("cells_sha256", "patches_sha256")}
    notes |= {"precision": str(precision).removeprefix("torch.")}
    decides = notes | {"encoder": encoder, "seed": seed, "split_sha256": sha256(split)}
    decides |= {"device": on.type}
    decides |= {name: version(name) for name in ("torch", "timm", "peft")}
    with checkpointed(partial, decides) as checkpoint:
        fit = train_endtoend(network, data, card, seed=seed, loader=loader, checkpoint=checkpoint)
        notes |= {"n_train": len(data.cells("train").rows), "device": str(on)}
        notes |= {
            "cost_seconds": round(fit.seconds, 1),
            "patches_per_second": round(fit.patches_per_second, 1),
        }
        notes |= {"peak_memory_gb": round(peak_memory(on), 2)}
        for path, state, kept in ((best, fit.best, "best"), (last, fit.last, "last")):
            scored, scores = score_held_out(
                network, state, data, loader=loader, precision=precision
            )
            about = notes | {"checkpoint": kept}
            write_predictions(path, scored, scores, split=split, notes=about)
            if "lora" in card and kept == "best":
                adapted, logit = network[0].get_submodule("network"), network[1]
                save_lora(path.with_suffix(".safetensors"), adapted, logit)
        named = picture.with_suffix("").parts
        title = f"{', '.join(named[-6:-4])}\n{', '.join(named[-4:])}"
        write_curve(fit.curve, curve, picture, title=title, synthetic=synthetic)


if __name__ == "__main__":
    run_script(main)
