"""Decode every cell's patch once."""

from pathlib import Path

from cryotome.core import step_versions
from cryotome.data.cell_checks import check_late_images
from cryotome.data.patches import write_patches
from cryotome.runtime.job import run_script
from cryotome.study.site import folder_of


def main(
    annotations: list[Path],
    cells: Path,
    patches: Path,
    recipe: int,
    card: dict,
    dataset: str,
    broken: str,
    partial: Path,
    data_root: Path,
    threads: int,
) -> None:
    assert recipe == step_versions.PATCHES
    images = folder_of(card, data_root) / card["images"]
    check_late_images(annotations, images, card, dataset)
    write_patches(
        patches,
        cells,
        images,
        card,
        dataset=dataset,
        broken=broken,
        partial=partial,
        threads=threads,
    )


if __name__ == "__main__":
    run_script(main)
