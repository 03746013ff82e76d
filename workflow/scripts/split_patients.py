"""Draw the patients that train, validate and test in one fold; other cohorts are external."""

import json
import sys
from pathlib import Path

import pandas as pd

from cryotome.core import step_versions
from cryotome.core.files import atomic_write, sha256
from cryotome.core.tables import write_csv
from cryotome.data.cohorts import load_patients
from cryotome.data.splits.patients import draw_patients
from cryotome.runtime.job import run_script


def main(
    patients: Path,
    external: list[Path],
    split: Path,
    about: Path,
    recipe: int,
    card: dict,
    datasets: list[str],
    separate: list[str],
    scheme: str,
    fold: int,
) -> None:
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
    with atomic_write(about) as beside:
        beside.write_text(json.dumps(notes, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    with atomic_write(split) as beside:
        write_csv(drawn.roles, beside)


if __name__ == "__main__":
    run_script(main)
