"""Draw the matrices of training domain against test domain."""

from pathlib import Path

from cryotome.figures import draw_figure2, figure2_data, save_figure
from cryotome.job import run
from cryotome.paths import written_whole
from cryotome.sheets import write_csv
from cryotome.tables import read_scores


def main(scores: list[Path], table: Path, pdf: Path, png: Path, rows: dict, study: str) -> None:
    result = figure2_data(read_scores(scores, rows), rows)
    with written_whole(table) as beside:
        write_csv(result.assign(study=study), beside)
    save_figure(draw_figure2(result, rows), pdf, png)


if __name__ == "__main__":
    run(main)
