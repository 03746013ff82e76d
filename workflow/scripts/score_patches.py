"""Score the predictions of a given test set, with intervals and a confusion matrix."""

from pathlib import Path

import pandas as pd

from cryotome.core.files import sha256
from cryotome.core.tables import save_csv
from cryotome.data.splits.predefined import class_names
from cryotome.evaluation.multiclass import (
    INDEPENDENCE_NOTE,
    argmax_classes,
    confusion,
    measure_predictions,
)
from cryotome.learners.predictions import read_predictions
from cryotome.runtime.job import run_script


def main(cells: list[Path], predictions: Path, scores: Path, table: Path, datasets: dict) -> None:
    named, (train, test) = class_names(datasets), datasets
    tested = read_predictions(predictions, cells_sha256=[*map(sha256, cells)], classes=named)
    values = measure_predictions(tested, named)
    place = {"fraction": "1.0", "fold": 0, "train_domain": train, "test_domain": test}
    lines = pd.DataFrame([place] * len(values)).join(values).assign(note=INDEPENDENCE_NOTE)
    counts = confusion(tested["label"].to_numpy(), argmax_classes(tested), len(named))
    confused = pd.DataFrame(counts, columns=named).set_index(pd.Index(named, name="class"))
    save_csv(lines, scores)
    save_csv(confused, table, index=True)


if __name__ == "__main__":
    run_script(main)
