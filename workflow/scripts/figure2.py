"""Draw the matrices of training domain against test domain."""

from pathlib import Path

from cryotome.core.tables import save_csv
from cryotome.report.figures.canvas import save_figure
from cryotome.report.figures.ganz2024 import draw_figure2, figure2_data
from cryotome.report.tables.ganz2024 import read_scores
from cryotome.runtime.job import run_script


def main(scores: list[Path], table: Path, pdf: Path, png: Path, rows: dict, study: str) -> None:
    result = figure2_data(read_scores(scores, rows), rows)
    save_csv(result.assign(study=study), table)
    save_figure(draw_figure2(result, rows), pdf, png)


if __name__ == "__main__":
    run_script(main)
