"""Compute every metric per fraction, fold and test domain, from the predictions alone."""

import sys
from pathlib import Path

from cryotome.core.errors import StoreError
from cryotome.core.files import RunPath, atomic_write, sha256
from cryotome.core.tables import write_csv
from cryotome.data.cells import load_cells
from cryotome.evaluation.scores import score_folds
from cryotome.learners.predictions import read_predictions
from cryotome.runtime.job import run_script
from cryotome.study.schemes import Scheme


def main(cells: Path, predictions: list[Path], scores: Path, scheme: str) -> None:
    # every draw at hand, so that no study takes a line of another out of this file
    at_hand = sorted(predictions[0].parents[1].glob("fraction=*/fold=*.csv"))
    of, tables = sha256(cells), {}
    for path in at_hand:
        try:
            table = read_predictions(path, cells_sha256=of)
        except StoreError as error:
            if path in predictions:
                raise
            print(f"Not scored, and not asked for: {error}", file=sys.stderr)
            continue
        run = RunPath.of(path)
        tables[run.fraction, run.fold] = table
    table = score_folds(tables, load_cells(cells), train_domain=Scheme.parse(scheme).trained)
    with atomic_write(scores) as beside:
        write_csv(table, beside)


if __name__ == "__main__":
    run_script(main)
