"""Rank the models of Table 2 under each head, and report the strength of its penalty."""

from pathlib import Path

from cryotome.core.charts import save_chart
from cryotome.core.tables import read_csv, save_csv
from cryotome.evaluation.ranks import rank_models, read_fit_notes
from cryotome.report.figures.statistics import draw_orders
from cryotome.runtime.job import run_script
from cryotome.study.facts import RowFacts


def main(
    table2: Path, predictions: list[Path], table: Path, pdf: Path, png: Path, facts: RowFacts
) -> None:
    result = rank_models(read_csv(table2), read_fit_notes(predictions), facts.multi_head)
    synthetic = result["dataset"].isin(facts.synthetic)
    save_csv(result.assign(synthetic=synthetic), table)
    save_chart(draw_orders(result, facts), pdf, png)


if __name__ == "__main__":
    run_script(main)
