"""Compute every metric per fold on the cohort and outside it, from the predictions alone."""

from pathlib import Path

from cryotome.core.tables import save_csv
from cryotome.evaluation.patients import read_folds, score_cohort
from cryotome.runtime.job import run_script


def main(predictions: list[Path], scores: Path, cohort: str, external: list[str]) -> None:
    table = score_cohort(read_folds(predictions), cohort=cohort, external=external)
    save_csv(table, scores)


if __name__ == "__main__":
    run_script(main)
