"""Draw AUROC against the training fraction."""

from pathlib import Path

from cryotome.core.files import atomic_write
from cryotome.core.tables import read_csv, write_csv
from cryotome.report.figures.canvas import save_figure
from cryotome.report.figures.ganz2024 import draw_figure1, figure1_data
from cryotome.report.tables.ganz2024 import read_scores
from cryotome.runtime.job import run_script


def main(
    scores: list[Path], published: Path, table: Path, pdf: Path, png: Path, rows: dict, study: str
) -> None:
    result = figure1_data(read_scores(scores, rows), read_csv(published), rows)
    with atomic_write(table) as beside:
        write_csv(result.assign(study=study), beside)
    save_figure(draw_figure1(result, rows), pdf, png)


if __name__ == "__main__":
    run_script(main)
