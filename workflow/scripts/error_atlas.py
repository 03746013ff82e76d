"""Show where the rows err and disagree: sheets of patches, slides for QuPath, tables."""

import sys
from pathlib import Path

from cryotome.core.charts import save_chart
from cryotome.core.files import sha256
from cryotome.core.tables import save_csv
from cryotome.data.cells import load_cells
from cryotome.data.overlap import load_windows
from cryotome.report.atlas.agreement import draw_agreement, pairwise_agreement
from cryotome.report.atlas.errors import read_atlas
from cryotome.report.atlas.qupath import write_geojson
from cryotome.report.atlas.sheets import make_sheets
from cryotome.runtime.job import run_script


def main(
    cells: Path, windows: Path, patches: Path, predictions: list[Path], table: Path,
    listed: Path, places: Path, agreement: Path, picture: Path, sheets: Path, slides: Path,
    card: dict, labels: dict, study: str,
) -> None:  # fmt: skip
    seen = load_windows(windows)
    atlas = read_atlas(load_cells(cells), seen, predictions, card, labels, sha256(cells))
    pairs, shown = pairwise_agreement(atlas), make_sheets(atlas, patches, sheets)
    opened = write_geojson(atlas, seen, slides, shown)
    size = f"{shown['bytes'].sum() / 1e6:.1f} MB"
    print(f"{len(shown):,} sheets, {size}; {len(opened):,} slides", file=sys.stderr)
    save_chart(draw_agreement(pairs, atlas), picture)
    for frame, folder in ((shown, sheets), (opened, slides)):
        frame["file"] = f"atlas/{atlas.dataset}/{folder.name}/" + frame["file"]
    stamped = {listed: shown.drop(columns="shown"), places: opened, agreement: pairs}
    results = {path: atlas.with_provenance(one) for path, one in stamped.items()}
    for path, result in (results | {table: atlas.table()}).items():
        result.insert(0, "study", study)
        save_csv(result.assign(synthetic=bool(atlas.notice)), path)


if __name__ == "__main__":
    run_script(main)
