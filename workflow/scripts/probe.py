"""Fit a head on frozen embeddings and score the cells that it has not seen, all folds at once."""

import sys
from pathlib import Path
from time import perf_counter

from tqdm import tqdm

from cryotome.data.splits.predefined import class_names
from cryotome.learners.predictions import write_predictions
from cryotome.learners.probes.labelled import read_labelled
from cryotome.learners.probes.linear import Execution
from cryotome.learners.probes.probe import fit_and_score_folds, fit_log_line, memory_log_line
from cryotome.runtime import ledger
from cryotome.runtime.job import run_script


def main(
    embeddings: list[Path], cells: list[Path], splits: list[Path], predictions: list[Path],
    card: dict, datasets: dict, model: str, view: str,
) -> None:  # fmt: skip
    start, classes = perf_counter(), class_names(datasets) if datasets else None
    known = read_labelled(embeddings, cells, [*datasets], model=model, view=view)
    folds = [known.fold(split) for split in splits]
    said = memory_log_line(card, known.x, folds=len(folds), classes=len(classes or "01"))
    print(said, file=sys.stderr, flush=True)
    with tqdm(total=len(folds), desc=f"fit {model}", unit="fold", mininterval=5) as bar:
        how, rows = Execution(on_progress=bar.update), [fold.rows for fold in folds]
        fitted = fit_and_score_folds(card, known.x, known.y, rows, execution=how)
        for path, fold, (scores, notes) in zip(predictions, folds, fitted, strict=True):
            print(f"{path}: {fit_log_line(card, fold.rows, notes)}", file=sys.stderr)
            notes |= known.notes | {"head": card, "n_train": len(fold.rows.train)}
            notes["cost_seconds"] = round((perf_counter() - start) / len(folds), 3)  # its share
            made = {"split": fold.split, "notes": notes, "classes": classes}
            write_predictions(path, fold.scored, scores, **made)  # type: ignore[arg-type]
    ledger.report_throughput(folds=len(folds), seconds=perf_counter() - start)


if __name__ == "__main__":
    run_script(main)
