"""Finetune an encoder without labels; export its teacher, and others on the way."""

import json
from importlib.metadata import version
from pathlib import Path

from cryotome import recipes
from cryotome.checkpoints import checkpointed
from cryotome.curves import write_curve
from cryotome.devices import describe, peak_memory, pick_device, use_threads
from cryotome.dino.backbone import build_backbone
from cryotome.dino.curve import draw_finetuning
from cryotome.dino.finetune import finetune, publish
from cryotome.dino.learner import Learner
from cryotome.dino.sources import read_images
from cryotome.job import run
from cryotome.paths import sha256, written_whole
from cryotome.steps import precision_of


def main(
    patches: list[Path],
    cells: list[Path],
    split: list[Path],
    weights: Path,
    about: Path,
    curve: Path,
    picture: Path,
    checkpoints: Path,
    recipe: int,
    card: dict,
    base: dict,
    model: str,
    synthetic: bool,
    partial: Path,
    weights_dir: Path,
    device: str,
    threads: int,
) -> None:
    assert recipe == recipes.FINETUNE
    use_threads(threads)
    on = pick_device(device)
    backbone, base_sha256 = build_backbone(base, card["base"], weights_dir, card)
    images = read_images(patches, cells, split, on, threads)
    precision = precision_of(card, on)
    notes = {"model": model, "card": card, "base_card": base, "base_sha256": base_sha256}
    notes |= images.about | {"split_sha256": [sha256(path) for path in split]}
    notes |= {"recipe": recipe, "precision": str(precision).removeprefix("torch.")}
    notes |= {"versions": {name: version(name) for name in ("torch", "torchvision", "timm")}}
    learner = Learner(backbone, card, precision)
    learner.begin(on)
    with checkpointed(partial, notes | {"device": on.type}) as checkpoint:
        fit = finetune(learner, images, card, partial, checkpoint)
        publish(partial, fit, weights, checkpoints)
        how = {"title": model, "synthetic": synthetic, "draw": draw_finetuning}
        write_curve(fit.curve, curve, picture, **how)
        hours = fit.seconds / 3600 * (threads if on.type == "cpu" else 1)
        notes |= {"gpu_hours" if on.type == "cuda" else "core_hours": round(hours, 4)}
        notes |= {"seconds": round(fit.seconds, 1), "images_per_second": round(fit.speed, 1)}
        notes |= {"device": describe(on), "peak_memory_gb": round(peak_memory(on), 2)}
        notes |= {"iterations": card["stop_at"], "kept": fit.kept, "synthetic": synthetic}
        notes |= {"images": card["stop_at"] * card["batch"], "of_images": len(images.rows)}
        seen = fit.curve[["iteration", "knn", "probe", "spread"]].iloc[[0, -1]]
        notes |= {"sha256": sha256(weights), "looks": json.loads(seen.to_json(orient="records"))}
        with written_whole(about) as beside:
            beside.write_text(json.dumps(notes, indent=1) + "\n")


if __name__ == "__main__":
    run(main)
