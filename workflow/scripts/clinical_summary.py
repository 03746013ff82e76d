"""Summarise calibration, mitotic counts per region and sensitivity at fixed false positives."""

import sys
from pathlib import Path

from cryotome.core.charts import save_chart
from cryotome.core.files import RunPath
from cryotome.core.tables import save_csv
from cryotome.evaluation.clinical.row_summary import read_dataset, summarise_rows
from cryotome.report.figures.clinical import draw_bland_altman, draw_reliability
from cryotome.runtime.job import run_script
from cryotome.study.facts import RowFacts


def main(
    cells: list[Path], audits: list[Path], splits: list[Path], predictions: list[Path],
    tables: list[Path], reliability: list[Path], bland_altman: list[Path], areas: dict,
    facts: RowFacts,
) -> None:  # fmt: skip
    datasets = {}
    for path, audit in zip(cells, audits, strict=True):
        mine = [split for split in splits if RunPath.of(split).dataset == path.stem]
        datasets[path.stem] = read_dataset(path, audit, mine, areas[path.stem])
    found = summarise_rows(datasets, predictions, facts)
    for path in tables:
        table = facts.with_study(found[path.stem])
        print(f"{path.stem}: {len(table)} lines", file=sys.stderr)
        save_csv(table, path, float_format="%.10g")
    save_chart(draw_reliability(found, facts), *reliability)
    save_chart(draw_bland_altman(found, facts), *bland_altman)


if __name__ == "__main__":
    run_script(main)
