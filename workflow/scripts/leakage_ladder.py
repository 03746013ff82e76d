"""Measure what every step of the leakage ladder costs every row."""

from pathlib import Path

from cryotome.core.charts import save_chart
from cryotome.core.files import atomic_write
from cryotome.core.tables import save_csv
from cryotome.evaluation.leakage_ladder import measure_ladder, read_leaks
from cryotome.evaluation.statistics.rows import load_rows
from cryotome.report.figures.statistics import draw_ladder
from cryotome.report.tables.markup import ladder_caption, ladder_cells, to_markdown
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
    settings = load_rows(cells, predictions, calibration, rows)
    result = measure_ladder(settings, read_leaks(leaks), rows)
    synthetic = result["dataset"].isin(rows["synthetic"])
    save_csv(result.assign(study=study, synthetic=synthetic), table)
    with atomic_write(markdown) as beside:
        text = to_markdown(ladder_cells(result, rows["labels"]), ladder_caption(study, rows))
        beside.write_text(text, encoding="utf-8")
    save_chart(draw_ladder(result, rows), pdf, png)


if __name__ == "__main__":
    run_script(main)
