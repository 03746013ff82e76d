"""Make synthetic tissue with a known signal, in the formats of MIDOG and CCMCT."""

from pathlib import Path

from cryotome.core import step_versions
from cryotome.data.demo.mitoses import make_midog_set, make_sliderunner_set
from cryotome.runtime.job import run_script


def main(rois: Path, slides: Path, recipe: int) -> None:
    assert recipe == step_versions.DEMO
    make_midog_set(rois, rois.parent / "images")
    make_sliderunner_set(slides, slides.parent / "images")


if __name__ == "__main__":
    run_script(main)
