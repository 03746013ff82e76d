"""Lay every number that paper 002 prints beside what the study measured, with a verdict."""

from pathlib import Path

import pandas as pd

from cryotome.core.files import written_whole
from cryotome.core.tables import read_csv, write_csv
from cryotome.evaluation.published import read_published
from cryotome.report.tables.roth2024 import counted, judged, read_summaries
from cryotome.runtime.job import run
from cryotome.study.statistical_unit import noted


def main(
    scores: list[Path], sizes: Path, published: list[Path], verdicts: Path, about: dict
) -> None:
    measured = pd.concat([read_summaries(scores), counted(read_csv(sizes))])
    with written_whole(verdicts) as beside:
        verdicts_ = noted(judged(measured, read_published(published), about), about)
        write_csv(verdicts_, beside)


if __name__ == "__main__":
    run(main)
