"""Rank the models of Table 2 under each head, and say how strong its penalty was."""

from pathlib import Path

from cryotome.core.charts import save_chart
from cryotome.core.files import atomic_write
from cryotome.core.tables import read_csv, write_csv
from cryotome.evaluation.ranks import rank_models, read_notes
from cryotome.report.figures.statistics import draw_orders
from cryotome.runtime.job import run_script


def main(
    table2: Path, predictions: list[Path], table: Path, pdf: Path, png: Path, rows: dict
) -> None:
    result = rank_models(read_csv(table2), read_notes(predictions), rows)
    with atomic_write(table) as beside:
        synthetic = result["dataset"].isin(rows["synthetic"])
        write_csv(result.assign(synthetic=synthetic), beside)
    save_chart(draw_orders(result, rows), pdf, png)


if __name__ == "__main__":
    run_script(main)
