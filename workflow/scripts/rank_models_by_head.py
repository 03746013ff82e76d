"""Rank the models of Table 2 under each head, and report the strength of its penalty."""

from pathlib import Path

from cryotome.core.charts import save_chart
from cryotome.core.tables import read_csv, save_csv
from cryotome.evaluation.ranks import rank_models, read_fit_notes
from cryotome.report.figures.statistics import draw_orders
from cryotome.runtime.job import run_script


def main(
    table2: Path, predictions: list[Path], table: Path, pdf: Path, png: Path, rows: dict
) -> None:
    result = rank_models(read_csv(table2), read_fit_notes(predictions), rows)
    synthetic = result["dataset"].isin(rows["synthetic"])
    save_csv(result.assign(synthetic=synthetic), table)
    save_chart(draw_orders(result, rows), pdf, png)


if __name__ == "__main__":
    run_script(main)
