"""Make the slides of a synthetic colorectal cohort with a known signal, and its tables."""

from pathlib import Path

from cryotome.core import step_versions
from cryotome.data.demo.cohorts import COHORTS, cohort_slides
from cryotome.data.demo.slides import make_cohort_slides, write_cohort_tables
from cryotome.runtime.job import run_script


def main(slides: list[Path], labels: Path, table: Path, recipe: int, cohort: str) -> None:
    assert recipe == step_versions.DEMO_SLIDES
    write_cohort_tables(labels, table, cohort_slides(COHORTS[cohort]))
    make_cohort_slides(COHORTS[cohort], slides[0].parent)
    assert all(path.exists() for path in slides)


if __name__ == "__main__":
    run_script(main)
