"""Measure calibration before and after recalibration, and how its order of rows fits AUROC's."""

from pathlib import Path

import pandas as pd

from cryotome.core.charts import save_chart
from cryotome.core.tables import save_csv
from cryotome.evaluation.clinical.calibration_orders import compare_orders
from cryotome.evaluation.clinical.recalibration import recalibrate_rows, recalibration_lines
from cryotome.report.figures.recalibration import draw_recalibration
from cryotome.runtime.job import run_script
from cryotome.study.facts import RowFacts


def main(
    cells: list[Path], predictions: list[Path], labels: list[int], table: Path, pdf: Path,
    png: Path, orders: Path, facts: RowFacts,
) -> None:  # fmt: skip
    found, compared = [], []
    for setting, measured, about in recalibrate_rows(cells, predictions, labels, facts):
        found.append(recalibration_lines(setting, measured, about))
        compared.append(compare_orders(setting, measured))
    result = facts.with_study(pd.concat(found, ignore_index=True))
    save_csv(result, table, float_format="%.6g")
    save_csv(facts.with_study(pd.concat(compared, ignore_index=True)), orders, float_format="%.6g")
    save_chart(draw_recalibration(result, facts), pdf, png)


if __name__ == "__main__":
    run_script(main)
