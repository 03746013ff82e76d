"""Split the spread of every row's AUROC into slide, scanner, domain and fold."""

from pathlib import Path

from cryotome.core.charts import save_chart
from cryotome.core.tables import save_csv
from cryotome.data.cells import load_cells
from cryotome.evaluation.variance_split import grouped_cells, split_rows
from cryotome.report.figures.scanners import draw_variance_split
from cryotome.runtime.job import run_script
from cryotome.study.facts import RowFacts


def main(
    cells: list[Path], predictions: list[Path], table: Path, pdf: Path, png: Path,
    facts: RowFacts, cards: dict,
) -> None:  # fmt: skip
    groups = {path.stem: grouped_cells(load_cells(path), cards[path.stem]) for path in cells}
    result = split_rows(predictions, groups, cards, facts.statistics.draws)
    save_csv(facts.with_study(result), table)
    save_chart(draw_variance_split(result, facts), pdf, png)


if __name__ == "__main__":
    run_script(main)
