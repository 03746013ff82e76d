"""Measure what every fold of a split lets through from training to test."""

import sys
from pathlib import Path

from tqdm import tqdm

from cryotome.core.files import RunPath, atomic_write
from cryotome.core.tables import read_csv, write_csv
from cryotome.data.cells import load_cells
from cryotome.data.overlap import load_windows
from cryotome.evaluation.leakage import gather_evidence, measure_leakage, summarise
from cryotome.runtime.job import run_script


def main(
    cells: Path,
    windows: Path,
    findings: Path,
    splits: list[Path],
    leakage: list[Path],
    scheme: str,
    slides: str,
) -> None:
    evidence = gather_evidence(load_cells(cells), load_windows(windows), read_csv(findings))
    tables = []
    bar = tqdm(splits, desc=f"audit {scheme}", unit="fold", mininterval=5)
    for path, audited in zip(bar, leakage, strict=True):
        split = read_csv(path)
        tables.append(measure_leakage(split, evidence, slides_known=slides != "unknown"))
        run = RunPath.of(path)
        where = f"{scheme}, fraction {run.fraction}, fold {run.fold}"
        print(f"{where}: {summarise(tables[-1:])}", file=sys.stderr)
        with atomic_write(audited) as beside:
            write_csv(tables[-1], beside, float_format="%.6g")
    print(f"{scheme}, {len(tables)} folds: {summarise(tables)}", file=sys.stderr)


if __name__ == "__main__":
    run_script(main)
