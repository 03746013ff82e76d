"""Rank the models of Table 2 under each head, and say how strong its penalty was."""

from pathlib import Path

from cryotome.charts import draw_orders
from cryotome.figures import save_figure
from cryotome.job import run
from cryotome.orders import order_models, read_notes
from cryotome.paths import written_whole
from cryotome.sheets import read_csv, write_csv


def main(
    table2: Path, predictions: list[Path], table: Path, pdf: Path, png: Path, rows: dict
) -> None:
    result = order_models(read_csv(table2), read_notes(predictions), rows)
    with written_whole(table) as beside:
        synthetic = result["dataset"].isin(rows["synthetic"])
        write_csv(result.assign(synthetic=synthetic), beside)
    save_figure(draw_orders(result, rows), pdf, png)


if __name__ == "__main__":
    run(main)
