"""Fit a head on the patches of one dataset, and score those of another."""

import sys
from pathlib import Path
from time import perf_counter

from cryotome.core.tables import read_csv
from cryotome.evaluation.multiclass import class_names
from cryotome.learners.predictions import write_predictions
from cryotome.learners.probes.probe import memory_log_line
from cryotome.learners.probes.two_datasets import classify, join_sets
from cryotome.runtime.job import run_script


def main(
    embeddings: list[Path],
    cells: list[Path],
    split: Path,
    predictions: Path,
    card: dict,
    datasets: dict,
    model: str,
    view: str,
) -> None:
    start = perf_counter()
    stores, tables = (dict(zip(datasets, files, strict=True)) for files in (embeddings, cells))
    both, roles = join_sets(stores, tables, model=model, view=view), read_csv(split)
    said = memory_log_line(card, both.x, folds=1, classes=len(class_names(datasets)))
    print(said, file=sys.stderr, flush=True)
    got, tested = classify(card, both, roles), roles[roles["role"] == "test"]
    print(f"{model}: {got.log_line}", file=sys.stderr)
    notes = got.notes | both.notes | {"head": card}
    notes["cost_seconds"] = round(perf_counter() - start, 3)
    how = {"split": split, "notes": notes, "classes": class_names(datasets)}
    write_predictions(predictions, tested.assign(label=got.label), got.scores, **how)  # type: ignore[arg-type]


if __name__ == "__main__":
    run_script(main)
