"""Rank the rows over training domains; draw a critical difference where there are five."""

from pathlib import Path

from cryotome.charts import draw_ranks
from cryotome.figures import save_figure
from cryotome.job import run
from cryotome.orders import block_values, ranks
from cryotome.paths import written_whole
from cryotome.sheets import read_csv, write_csv


def main(intervals: Path, table: Path, pdf: Path, png: Path, rows: dict, study: str) -> None:
    measured = read_csv(intervals)
    result = ranks(measured, list(rows["labels"]))
    with written_whole(table) as beside:
        synthetic = bool(rows["notice"])  # a rank is over all datasets
        write_csv(result.assign(study=study, synthetic=synthetic), beside)
    values = {tested: block_values(measured, tested) for tested in result["tested"].unique()}
    save_figure(draw_ranks(result, values, rows), pdf, png)


if __name__ == "__main__":
    run(main)
