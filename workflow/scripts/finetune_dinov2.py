"""Continue DINOv2's pretraining on tissue; export the teacher at intervals and at the end."""

from pathlib import Path

from cryotome.core import step_versions
from cryotome.core.files import save_json, sha256
from cryotome.learners.dinov2.backbone import build_backbone
from cryotome.learners.dinov2.curve import PANELS
from cryotome.learners.dinov2.finetune import export_encoder, finetune, finetuning_cost, provenance
from cryotome.learners.dinov2.images import read_images
from cryotome.learners.dinov2.student_teacher import Learner
from cryotome.learners.loop.checkpoints import checkpointed
from cryotome.learners.loop.curves import write_curve
from cryotome.learners.loop.step import precision_of
from cryotome.runtime.devices import set_up_device
from cryotome.runtime.job import run_script


def main(
    patches: list[Path], cells: list[Path], split: list[Path], weights: Path, about: Path,
    curve: Path, picture: Path, checkpoints: Path, recipe: int, card: dict, base: dict,
    model: str, synthetic: bool, partial: Path, weights_dir: Path, device: str, threads: int,
) -> None:  # fmt: skip
    assert recipe == step_versions.FINETUNE
    on = set_up_device(device, threads)
    backbone, base_sha256 = build_backbone(base, card["base"], weights_dir, card)
    images = read_images(patches, cells, split, on, threads)
    learner = Learner(backbone, card, precision_of(card, on)).prepare(on)
    decides = {"model": model, "base_card": base, "base_sha256": base_sha256, "recipe": recipe}
    decides |= provenance(learner, images, split)
    with checkpointed(partial, decides | {"device": on.type}) as checkpoint:
        fit = finetune(learner, images, card, partial, checkpoint)
        export_encoder(partial, fit, weights, checkpoints)
        write_curve(fit.curve, PANELS, curve, picture, title=model, synthetic=synthetic)
        told = decides | finetuning_cost(fit, card, on, threads) | {"synthetic": synthetic}
        save_json(told | {"of_images": len(images.rows), "sha256": sha256(weights)}, about)


if __name__ == "__main__":
    run_script(main)
