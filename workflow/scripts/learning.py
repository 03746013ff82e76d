"""Draw learning curves with their intervals, and where the reference equals a row."""

from pathlib import Path

from cryotome.charts import draw_learning
from cryotome.figures import save_figure
from cryotome.job import run
from cryotome.sheets import read_csv


def main(intervals: Path, curves: Path, crossed: Path, pdf: Path, png: Path, rows: dict) -> None:
    tables = (read_csv(path) for path in (intervals, curves, crossed))
    save_figure(draw_learning(*tables, about=rows), pdf, png)


if __name__ == "__main__":
    run(main)
