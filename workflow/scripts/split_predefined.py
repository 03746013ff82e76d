"""Assign the roles of cells where one dataset trains and another tests."""

from pathlib import Path

from cryotome.core import step_versions
from cryotome.core.files import save_json, sha256
from cryotome.core.tables import save_csv
from cryotome.data.cells import load_cells
from cryotome.data.splits.predefined import assign_roles
from cryotome.runtime.job import run_script


def main(
    train_cells: Path,
    test_cells: Path,
    split: Path,
    about: Path,
    recipe: int,
    train: str,
    test: str,
) -> None:
    assert recipe == step_versions.SPLITS
    roles = assign_roles({train: load_cells(train_cells), test: load_cells(test_cells)})
    notes = {
        "drawn": "predefined",
        "counts": roles["role"].value_counts().to_dict(),
        "cells_sha256": [sha256(train_cells), sha256(test_cells)],
    }
    save_json(notes, about, sort_keys=True)
    save_csv(roles, split)


if __name__ == "__main__":
    run_script(main)
