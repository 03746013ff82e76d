"""Measure every row on external datasets, and what it loses from in domain."""

from pathlib import Path

from cryotome.core.charts import save_chart
from cryotome.core.tables import read_csv, save_csv
from cryotome.data.shared_cells import find_shared_cells
from cryotome.evaluation.external import external_pairs, external_table, load_external
from cryotome.evaluation.statistics.rows import load_rows
from cryotome.report.figures.external import draw_external
from cryotome.runtime.job import run_script
from cryotome.study.facts import RowFacts


def main(
    cells: list[Path], patches: list[Path], predictions: list[Path], external: list[Path],
    calibration: Path, table: Path, pdf: Path, png: Path, facts: RowFacts,
) -> None:  # fmt: skip
    left_out = find_shared_cells(patches, cells, external_pairs(external))
    outside = load_external(external, cells, left_out, read_csv(calibration), facts)
    inside = load_rows(cells, predictions, calibration, facts)
    result = facts.with_study(external_table(outside, inside, left_out, facts))
    save_csv(result, table)
    save_chart(draw_external(result, facts), pdf, png)


if __name__ == "__main__":
    run_script(main)
