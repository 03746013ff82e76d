"""Compare every number that Roth et al. 2024 publish with what the study measured."""

from pathlib import Path

import pandas as pd

from cryotome.core.tables import read_csv, save_csv
from cryotome.evaluation.published import compare_with_published, read_published
from cryotome.report.tables.roth2024 import read_summaries, sizes_as_measured
from cryotome.runtime.job import run_script
from cryotome.study.facts import RothFacts
from cryotome.study.statistical_unit import noted


def main(
    scores: list[Path], sizes: Path, published: list[Path], verdicts: Path, facts: RothFacts
) -> None:
    measured = pd.concat([read_summaries(scores), sizes_as_measured(read_csv(sizes))])
    result = compare_with_published(read_published(published), measured, facts)
    save_csv(noted(result, facts.unknown_slides), verdicts)


if __name__ == "__main__":
    run_script(main)
