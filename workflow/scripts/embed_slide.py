"""Run a frozen encoder over the tiles of one slide, or several, read straight from them."""

from pathlib import Path

from cryotome.core import step_versions
from cryotome.encoders.embed_slide import write_bag
from cryotome.encoders.embedders import ComputeSettings, ModelView
from cryotome.runtime.job import run_script


def main(
    tiles: list[Path], slides: list[Path], bags: list[Path], recipe: int, card: dict, model: str,
    view: str, partial: Path, batches: Path, weights_dir: Path, device: str, threads: int,
) -> None:  # fmt: skip
    assert recipe == step_versions.BAGS
    viewed = ModelView(model, card, view)
    compute = ComputeSettings(weights_dir, device, threads, batches)
    images: list[Path | None] = [*slides] or [None] * len(bags)
    for store, bag, slide in zip(tiles, bags, images, strict=True):
        write_bag(bag, store, slide, viewed, compute, partial=partial / bag.stem)


if __name__ == "__main__":
    run_script(main)
