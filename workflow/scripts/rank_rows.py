"""Rank the rows over training domains; draw a critical difference where there are five."""

from pathlib import Path

from cryotome.core.charts import save_chart
from cryotome.core.tables import read_csv, save_csv
from cryotome.evaluation.ranks import mean_ranks, values_by_block
from cryotome.report.figures.statistics import draw_ranks
from cryotome.runtime.job import run_script
from cryotome.study.facts import RowFacts


def main(intervals: Path, table: Path, pdf: Path, png: Path, facts: RowFacts) -> None:
    measured = read_csv(intervals)
    result = mean_ranks(measured, list(facts.labels))
    synthetic = bool(facts.notice)  # a rank is over all datasets
    save_csv(result.assign(study=facts.study, synthetic=synthetic), table)
    values = {tested: values_by_block(measured, tested) for tested in result["tested"].unique()}
    save_chart(draw_ranks(result, values, facts), pdf, png)


if __name__ == "__main__":
    run_script(main)
