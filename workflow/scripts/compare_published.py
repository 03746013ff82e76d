"""Compare every number that a paper publishes with what the study measured."""

from pathlib import Path

import pandas as pd

from cryotome.core.tables import save_csv
from cryotome.evaluation.benchmark import read_benchmark
from cryotome.evaluation.measured import read_counts, read_intervals, read_summaries
from cryotome.evaluation.published import compare_with_published, read_published
from cryotome.runtime.job import run_script
from cryotome.study.facts import StudyFacts
from cryotome.study.statistical_unit import noted


def main(
    intervals: list[Path], benchmark: list[Path], scores: list[Path], sizes: Path,
    published: list[Path], verdicts: Path, facts: StudyFacts,
) -> None:  # fmt: skip
    tested = [*map(read_benchmark, benchmark)]
    parts = [*map(read_intervals, intervals), *tested, read_summaries(scores), read_counts(sizes)]
    measured = pd.concat([part for part in parts if len(part)] or parts)
    sets = {pair for part in tested for pair in zip(part["dataset"], part["scheme"], strict=True)}
    result = compare_with_published(read_published(published), measured, facts, sets)
    save_csv(noted(result, facts.unknown_slides), verdicts)


if __name__ == "__main__":
    run_script(main)
