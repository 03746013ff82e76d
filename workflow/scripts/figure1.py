"""Draw AUROC against the training fraction."""

from pathlib import Path

from cryotome.core.tables import read_csv, save_csv
from cryotome.report.figures.canvas import save_figure
from cryotome.report.figures.ganz2024 import draw_figure1, figure1_data
from cryotome.report.tables.ganz2024 import read_scores
from cryotome.runtime.job import run_script


def main(
    scores: list[Path], published: Path, table: Path, pdf: Path, png: Path, rows: dict, study: str
) -> None:
    result = figure1_data(read_scores(scores, rows), read_csv(published), rows)
    save_csv(result.assign(study=study), table)
    save_figure(draw_figure1(result, rows), pdf, png)


if __name__ == "__main__":
    run_script(main)
