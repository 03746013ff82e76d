"""Measure every row and every rater against the raters, and rows where raters agree or not."""

from pathlib import Path

from cryotome.core.charts import save_chart
from cryotome.core.tables import save_csv
from cryotome.data.cells import load_cells
from cryotome.data.raters import votes_of
from cryotome.evaluation.raters import compare_raters
from cryotome.evaluation.statistics.rows import load_rows
from cryotome.report.figures.raters import draw_raters
from cryotome.runtime.job import run_script
from cryotome.study.facts import RowFacts


def main(
    cells: list[Path], predictions: list[Path], calibration: Path,
    table: Path, pdf: Path, png: Path, facts: RowFacts,
) -> None:  # fmt: skip
    settings = load_rows(cells, predictions, calibration, facts)
    votes = {path.stem: votes_of(load_cells(path).set_index("id")) for path in cells}
    result = facts.with_study(compare_raters(settings, votes, facts.statistics.alpha))
    save_csv(result, table)
    save_chart(draw_raters(result, facts), pdf, png)


if __name__ == "__main__":
    run_script(main)
