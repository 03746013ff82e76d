"""Make synthetic patches of nine tissue classes, in folders like those of NCT-CRC-HE."""

from pathlib import Path

from cryotome.core import step_versions
from cryotome.data.demo.tissue import ABROAD, EXTERNAL, HOME, TRAINING, make_tissue
from cryotome.runtime.job import run_script


def main(training: Path, external: Path, recipe: int) -> None:
    assert recipe == step_versions.DEMO
    for table, count, domain, seed in (
        (training, TRAINING, HOME, 3),
        (external, EXTERNAL, ABROAD, 4),
    ):
        images = table.parent / table.stem
        make_tissue(table, images, count=count, domain=domain, seed=seed)


if __name__ == "__main__":
    run_script(main)
