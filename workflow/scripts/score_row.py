"""Compute every metric per fraction, fold and test domain, from the predictions alone."""

import sys
from pathlib import Path

from cryotome.core.errors import StoreError
from cryotome.core.files import RunPath, sha256
from cryotome.core.tables import save_csv
from cryotome.data.cells import load_cells
from cryotome.data.domains import cells_of_scheme
from cryotome.evaluation.scores import score_folds
from cryotome.learners.predictions import read_predictions
from cryotome.runtime.job import run_script
from cryotome.study.schemes import Scheme


def main(cells: Path, predictions: list[Path], scores: Path, scheme: str, scanners: dict) -> None:
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
    groups = cells_of_scheme(load_cells(cells), scheme, scanners)
    table = score_folds(tables, groups, train_domain=Scheme.parse(scheme).trained)
    save_csv(table, scores)


if __name__ == "__main__":
    run_script(main)
