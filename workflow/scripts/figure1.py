"""Draw AUROC against the training fraction."""

from pathlib import Path

from cryotome.core.tables import read_csv, save_csv
from cryotome.report.figures.canvas import save_figure
from cryotome.report.figures.ganz2024 import draw_figure1, figure1_data
from cryotome.report.tables.ganz2024 import read_scores
from cryotome.runtime.job import run_script
from cryotome.study.facts import RowFacts


def main(
    scores: list[Path], published: Path, table: Path, pdf: Path, png: Path, facts: RowFacts
) -> None:
    result = figure1_data(read_scores(scores, facts), read_csv(published), facts)
    save_csv(result.assign(study=facts.study), table)
    save_figure(draw_figure1(result, facts), pdf, png)


if __name__ == "__main__":
    run_script(main)
