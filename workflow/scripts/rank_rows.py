"""Rank the rows over training domains; draw a critical difference where there are five."""

from pathlib import Path

from cryotome.core.charts import save_chart
from cryotome.core.tables import read_csv, save_csv
from cryotome.evaluation.ranks import mean_ranks, values_by_block
from cryotome.report.figures.statistics import draw_ranks
from cryotome.runtime.job import run_script


def main(intervals: Path, table: Path, pdf: Path, png: Path, rows: dict, study: str) -> None:
    measured = read_csv(intervals)
    result = mean_ranks(measured, list(rows["labels"]))
    synthetic = bool(rows["notice"])  # a rank is over all datasets
    save_csv(result.assign(study=study, synthetic=synthetic), table)
    values = {tested: values_by_block(measured, tested) for tested in result["tested"].unique()}
    save_chart(draw_ranks(result, values, rows), pdf, png)


if __name__ == "__main__":
    run_script(main)
