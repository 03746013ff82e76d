"""Price every rung of the leakage ladder for every row."""

from pathlib import Path

import pandas as pd

from cryotome.blocks import gather_blocks
from cryotome.cells import load_cells
from cryotome.charts import draw_ladder
from cryotome.comparisons import read_blocks
from cryotome.figures import save_figure
from cryotome.job import run
from cryotome.paths import written_whole
from cryotome.pricing import price_ladder, printed, read_leaks
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
    of_cells = {path.stem: load_cells(path).set_index("id") for path in cells}
    gathered = gather_blocks(predictions, of_cells)
    blocks = read_blocks(gathered, rows["statistics"], pd.read_csv(calibration))
    result = price_ladder(blocks, read_leaks(leaks), rows)
    with written_whole(table) as beside:
        result.assign(study=study).to_csv(beside, index=False)
    with written_whole(markdown) as beside:
        text = to_markdown(printed(result, rows["labels"]), ladder_caption(study, rows))
        beside.write_text(text)
    save_figure(draw_ladder(result, rows), pdf, png)


if __name__ == "__main__":
    run(main)
