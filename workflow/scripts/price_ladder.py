"""Price every rung of the leakage ladder for every row."""

from pathlib import Path

from cryotome.core.charts import save_chart
from cryotome.core.files import atomic_write
from cryotome.core.tables import write_csv
from cryotome.evaluation.leakage_ladder import markdown_table, measure_ladder, read_leaks
from cryotome.evaluation.statistics.rows import load_blocks
from cryotome.report.figures.statistics import draw_ladder
from cryotome.report.tables.markup import ladder_caption, to_markdown
from cryotome.runtime.job import run_script


def main(
    cells: list[Path],
    predictions: list[Path],
    calibration: Path,
    leaks: list[Path],
    table: Path,
    markdown: Path,
    pdf: Path,
    png: Path,
    rows: dict,
    study: str,
) -> None:
    blocks = load_blocks(cells, predictions, calibration, rows)
    result = measure_ladder(blocks, read_leaks(leaks), rows)
    with atomic_write(table) as beside:
        synthetic = result["dataset"].isin(rows["synthetic"])
        write_csv(result.assign(study=study, synthetic=synthetic), beside)
    with atomic_write(markdown) as beside:
        text = to_markdown(markdown_table(result, rows["labels"]), ladder_caption(study, rows))
        beside.write_text(text, encoding="utf-8")
    save_chart(draw_ladder(result, rows), pdf, png)


if __name__ == "__main__":
    run_script(main)
