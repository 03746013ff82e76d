"""Price every rung of the leakage ladder for every row."""

from pathlib import Path

from cryotome.charts import draw_ladder
from cryotome.comparisons import load_blocks
from cryotome.figures import save_figure
from cryotome.job import run
from cryotome.paths import written_whole
from cryotome.pricing import price_ladder, printed, read_leaks
from cryotome.sheets import write_csv
from cryotome.tables import ladder_caption, to_markdown


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
    result = price_ladder(blocks, read_leaks(leaks), rows)
    with written_whole(table) as beside:
        synthetic = result["dataset"].isin(rows["synthetic"])
        write_csv(result.assign(study=study, synthetic=synthetic), beside)
    with written_whole(markdown) as beside:
        text = to_markdown(printed(result, rows["labels"]), ladder_caption(study, rows))
        beside.write_text(text, encoding="utf-8")
    save_figure(draw_ladder(result, rows), pdf, png)


if __name__ == "__main__":
    run(main)
