"""Fit a head on frozen embeddings and score the cells that it has not seen, all folds at once."""

import sys
from pathlib import Path
from time import perf_counter

from tqdm import tqdm

from cryotome.data.splits.predefined import class_names
from cryotome.learners.predictions import write_predictions
from cryotome.learners.probes.kept_head import write_head
from cryotome.learners.probes.labelled import read_labelled
from cryotome.learners.probes.linear import Execution
from cryotome.learners.probes.probe import fit_log_line, log_memory
from cryotome.learners.probes.soft_labels import fit_head
from cryotome.runtime import ledger
from cryotome.runtime.job import run_script


def main(
    embeddings: list[Path], cells: list[Path], splits: list[Path], predictions: list[Path],
    kept: list[Path], card: dict, datasets: dict, trained_on: dict, model: str, view: str,
) -> None:  # fmt: skip
    start, named = perf_counter(), {"classes": class_names(datasets) if datasets else None}
    known = read_labelled(embeddings, cells, [*datasets], model=model, view=view)
    folds, about = [known.fold(split) for split in splits], known.notes | {"head": card}
    log_memory(card, known.x, folds=len(folds), classes=len(named["classes"] or "01"))
    with tqdm(total=len(folds), desc=f"fit {model}", unit="fold", mininterval=5) as bar:
        fitted = fit_head(card, known, folds, execution=Execution(on_progress=bar.update))
        for path, fold, (scores, notes, arrays) in zip(predictions, folds, fitted, strict=True):
            print(f"{path}: {fit_log_line(card, fold.rows, notes)}", file=sys.stderr)
            notes |= about | {"n_train": len(fold.rows.train)}
            notes["cost_seconds"] = round((perf_counter() - start) / len(folds), 3)  # its share
            write_predictions(path, fold.scored, scores, split=fold.split, notes=notes, **named)
            write_head(kept, path, known, fold, arrays, about | trained_on)
    ledger.report_throughput(folds=len(folds), seconds=perf_counter() - start)


if __name__ == "__main__":
    run_script(main)
