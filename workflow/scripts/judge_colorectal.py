"""Lay every number of Roth et al. 2024 beside what the study measured, with a verdict."""

from pathlib import Path

import pandas as pd

from cryotome.core.files import atomic_write
from cryotome.core.tables import read_csv, write_csv
from cryotome.evaluation.published import compare_with_published, read_published
from cryotome.report.tables.roth2024 import read_summaries, sizes_as_measured
from cryotome.runtime.job import run_script
from cryotome.study.statistical_unit import noted


def main(
    scores: list[Path], sizes: Path, published: list[Path], verdicts: Path, about: dict
) -> None:
    measured = pd.concat([read_summaries(scores), sizes_as_measured(read_csv(sizes))])
    with atomic_write(verdicts) as beside:
        table = noted(compare_with_published(read_published(published), measured, about), about)
        write_csv(table, beside)


if __name__ == "__main__":
    run_script(main)
