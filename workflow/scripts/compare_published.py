"""Compare every number that Ganz et al. 2024 publish with what the study measured."""

from pathlib import Path

from cryotome.core.tables import read_csv, save_csv
from cryotome.evaluation.published import compare_with_published, read_measured, read_published
from cryotome.runtime.job import run_script
from cryotome.study.facts import RowFacts


def main(
    intervals: Path, encoders: Path, published: list[Path], verdicts: Path, facts: RowFacts
) -> None:
    measured = read_measured(read_csv(intervals), read_csv(encoders))
    save_csv(compare_with_published(read_published(published), measured, facts), verdicts)


if __name__ == "__main__":
    run_script(main)
