"""Show where the rows err and disagree: sheets of patches, slides for QuPath, tables."""

from pathlib import Path

from cryotome.core.charts import save_chart
from cryotome.core.files import sha256
from cryotome.core.tables import save_csv
from cryotome.data.cells import load_cells
from cryotome.data.overlap import load_windows
from cryotome.report.atlas.agreement import draw_agreement, pairwise_agreement
from cryotome.report.atlas.cell_pages import write_cell_pages
from cryotome.report.atlas.errors import read_atlas
from cryotome.report.atlas.neighbours import TrainingNeighbours
from cryotome.report.atlas.qupath import write_geojson
from cryotome.report.atlas.sheets import make_sheets
from cryotome.runtime.job import run_script


def main(
    cells: Path, windows: Path, patches: Path, predictions: list[Path], splits: list[Path],
    embeddings: list[Path], table: Path, listed: Path, shown: Path, places: Path, agreement: Path,
    picture: Path, sheets: Path, slides: Path, card: dict, labels: dict, study: str,
) -> None:  # fmt: skip
    seen, made_from = load_windows(windows), sha256(cells)
    atlas = read_atlas(load_cells(cells), seen, predictions, card, labels, made_from)
    near = TrainingNeighbours(splits, embeddings, atlas.known["domain"], made_from)
    pairs, made = pairwise_agreement(atlas), make_sheets(atlas, patches, sheets)
    each = write_cell_pages(atlas, made, patches, sheets, near)
    opened = write_geojson(atlas, seen, slides, made)
    save_chart(draw_agreement(pairs, atlas), picture)
    for frame, folder in ((made, sheets), (each, sheets), (opened, slides)):
        frame["file"] = f"atlas/{atlas.dataset}/{folder.name}/" + frame["file"]
    stamped = {listed: made, shown: each, places: opened, agreement: pairs}
    results = {path: atlas.with_provenance(one) for path, one in stamped.items()}
    for path, result in (results | {table: atlas.table()}).items():
        save_csv(atlas.with_study(result, study), path)


if __name__ == "__main__":
    run_script(main)
