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
from cryotome.study.facts import RowFacts


def main(
    cells: list[Path],
    predictions: list[Path],
    calibration: Path,
    leaks: list[Path],
    table: Path,
    markdown: Path,
    pdf: Path,
    png: Path,
    facts: RowFacts,
) -> None:
    settings = load_rows(cells, predictions, calibration, facts)
    result = measure_ladder(settings, read_leaks(leaks), facts.rungs)
    synthetic = result["dataset"].isin(facts.synthetic)
    save_csv(result.assign(study=facts.study, synthetic=synthetic), table)
    with atomic_write(markdown) as beside:
        text = to_markdown(ladder_cells(result, facts.labels), ladder_caption(facts))
        beside.write_text(text, encoding="utf-8")
    save_chart(draw_ladder(result, facts), pdf, png)


if __name__ == "__main__":
    run_script(main)
