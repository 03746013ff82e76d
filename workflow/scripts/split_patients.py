"""Draw the patients that train, validate and test in one fold; another cohort is external."""

import json
import sys
from pathlib import Path

from cryotome import recipes
from cryotome.cohorts import load_patients
from cryotome.job import run
from cryotome.paths import sha256, written_whole
from cryotome.patient_folds import draw_patients
from cryotome.sheets import write_csv


def main(
    patients: Path,
    external: list[Path],
    split: Path,
    about: Path,
    recipe: int,
    card: dict,
    scheme: str,
    fold: int,
) -> None:
    assert recipe == recipes.COHORTS
    other = load_patients(external[0]) if external else None
    drawn = draw_patients(load_patients(patients), card, fold=fold, external=other)
    counts = drawn.roles["role"].value_counts().to_dict()
    print(f"{scheme}, fold {fold}: {counts}, {drawn.drawn}", file=sys.stderr)
    notes = {
        "drawn": drawn.drawn,
        "counts": counts,
        "patients_sha256": [sha256(path) for path in (patients, *external)],
    }
    with written_whole(about) as beside:
        beside.write_text(json.dumps(notes, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    with written_whole(split) as beside:
        write_csv(drawn.roles, beside)


if __name__ == "__main__":
    run(main)
