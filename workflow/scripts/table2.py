"""Average AUROC in domain and out of domain, with published numbers."""

from pathlib import Path

from cryotome.core.tables import read_csv, save_csv
from cryotome.report.tables.ganz2024 import read_scores, table2, table2_sd
from cryotome.runtime.job import run_script
from cryotome.study.facts import RowFacts


def main(scores: list[Path], published: Path, table: Path, sd: Path, facts: RowFacts) -> None:
    tidy = read_scores(scores, facts)
    save_csv(table2(tidy, read_csv(published), facts), table)
    save_csv(table2_sd(tidy, study=facts.study), sd)


if __name__ == "__main__":
    run_script(main)
