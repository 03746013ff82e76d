"""Invent the slides of two colorectal cohorts, with a known signal, and their tables."""

from pathlib import Path

from cryotome import recipes
from cryotome.demo_cohorts import COHORTS, cohort_slides
from cryotome.demo_slides import make_slides, write_tables
from cryotome.job import run


def main(slides: list[Path], labels: list[Path], tables: list[Path], recipe: int) -> None:
    assert recipe == recipes.DEMO_SLIDES
    for label, table, cohort in zip(labels, tables, COHORTS.values(), strict=True):
        write_tables(label, table, cohort_slides(cohort))
        make_slides(cohort, table.parent / "slides")
    assert all(path.exists() for path in slides)


if __name__ == "__main__":
    run(main)
