"""Draw learning curves with their intervals, and where the reference equals a row."""

from pathlib import Path

from cryotome.core.charts import save_chart
from cryotome.core.tables import read_csv
from cryotome.report.figures.statistics import draw_learning
from cryotome.runtime.job import run_script
from cryotome.study.facts import RowFacts


def main(
    intervals: Path, curves: Path, crossed: Path, pdf: Path, png: Path, facts: RowFacts
) -> None:
    one, two, three = (read_csv(path) for path in (intervals, curves, crossed))
    save_chart(draw_learning(one, two, three, facts), pdf, png)


if __name__ == "__main__":
    run_script(main)
