"""Draw AUROC against resolution at equal field of view, and the other way round."""

from pathlib import Path

from cryotome.core.charts import save_chart
from cryotome.core.tables import read_csv
from cryotome.report.figures.resolution import draw_resolution
from cryotome.runtime.job import run_script
from cryotome.study.facts import ContextFacts, RowFacts


def main(table: Path, pdf: Path, png: Path, facts: RowFacts, sweep: ContextFacts) -> None:
    save_chart(draw_resolution(read_csv(table), sweep, facts), pdf, png)


if __name__ == "__main__":
    run_script(main)
