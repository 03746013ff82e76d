"""Draw the patients that train, validate and test in one fold; other cohorts are external."""

import sys
from pathlib import Path

import pandas as pd

from cryotome.core import step_versions
from cryotome.core.files import save_json, sha256
from cryotome.core.tables import save_csv
from cryotome.data.cohorts import load_patients
from cryotome.data.splits.patients import draw_patients
from cryotome.runtime.job import run_script


def main(
    patients: Path, external: list[Path], split: Path, about: Path, recipe: int, card: dict,
    datasets: list[str], separate: list[str], scheme: str, fold: int,
) -> None:  # fmt: skip
    assert recipe == step_versions.COHORTS
    mine, *others = map(load_patients, (patients, *external), datasets)
    other = pd.concat(others, ignore_index=True) if others else None
    drawn = draw_patients(mine, card, fold=fold, external=other, separate=separate)
    counts = drawn.roles["role"].value_counts().to_dict()
    print(f"{scheme}, fold {fold}: {counts}, {drawn.drawn}", file=sys.stderr)
    notes = {
        "drawn": drawn.drawn,
        "counts": counts,
        "patients_sha256": [sha256(path) for path in (patients, *external)],
    }
    save_json(notes, about, sort_keys=True)
    save_csv(drawn.roles, split)


if __name__ == "__main__":
    run_script(main)
