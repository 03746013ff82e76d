"""Count mitoses per region, ration false positives, and ask whether scores are probabilities."""

import sys
from pathlib import Path

from cryotome.core.files import RunPath, atomic_write
from cryotome.core.tables import write_csv
from cryotome.evaluation.clinical.row_summary import read_dataset, summarise_rows
from cryotome.report.figures.canvas import save_figure
from cryotome.report.figures.clinical import draw_bland_altman, draw_reliability
from cryotome.runtime.job import run_script
from cryotome.study.statistical_unit import noted


def main(
    cells: list[Path],
    audits: list[Path],
    splits: list[Path],
    predictions: list[Path],
    tables: list[Path],
    reliability: list[Path],
    bland_altman: list[Path],
    areas: dict,
    rows: dict,
    study: str,
) -> None:
    datasets = {}
    for path, audit in zip(cells, audits, strict=True):
        mine = [split for split in splits if RunPath.of(split).dataset == path.stem]
        datasets[path.stem] = read_dataset(path, audit, mine, areas[path.stem])
    found = summarise_rows(datasets, predictions, rows)
    for path in tables:
        table = noted(found[path.stem], rows)
        print(f"{path.stem}: {len(table)} lines", file=sys.stderr)
        synthetic = table["dataset"].isin(rows["synthetic"])
        table = table.assign(synthetic=synthetic)
        table.insert(0, "study", study)
        with atomic_write(path) as beside:
            write_csv(table, beside, float_format="%.10g")
    save_figure(draw_reliability(found, rows), *reliability)
    save_figure(draw_bland_altman(found, rows), *bland_altman)


if __name__ == "__main__":
    run_script(main)
