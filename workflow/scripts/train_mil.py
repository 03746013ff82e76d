"""Train a classifier of patients on the bags of their slides, and score one fold's others."""

import sys
from pathlib import Path
from time import perf_counter

import pandas as pd

from cryotome.core import step_versions
from cryotome.core.files import sha256
from cryotome.data.cohorts import load_patients, load_slides
from cryotome.encoders.bag_store import BagFolders
from cryotome.learners.mil.train import load_bags, patients_with_bags, score_patients
from cryotome.learners.predictions import SCORED_ROLES, write_predictions
from cryotome.runtime.devices import peak_memory, pick_device, repeat_exactly, use_threads
from cryotome.runtime.job import run_script


def main(
    patients: list[Path], slides: list[Path], bags: list[Path], split: Path, predictions: Path,
    recipe: int, folders: dict, card: dict, model: str, view: str, fold: int, device: str,
    threads: int,
) -> None:  # fmt: skip
    assert recipe == step_versions.MIL
    start, on = perf_counter(), pick_device(device)
    use_threads(threads)
    repeat_exactly(on)
    table = pd.concat(map(load_slides, slides, folders), ignore_index=True)
    targets = pd.concat(map(load_patients, patients, folders)).set_index("PATIENT")["TARGET"]
    source = BagFolders(folders, bags, model=model, view=view)
    gathered, empty = load_bags(table, source.read, which=card["slides"])
    roles = pd.read_csv(split, dtype=str, keep_default_na=False)
    fold_of, lost = patients_with_bags(roles, targets, gathered)
    for line in source.summary():
        print(line, file=sys.stderr)
    for what, names in (("slides", empty), ("patients", lost)):
        print(f"{len(names)} {what} without a tile: {', '.join(names) or '-'}", file=sys.stderr)
    scores, notes = score_patients(
        gathered, fold_of, card, seed=card.get("seed", 0) + fold, device=on
    )
    notes |= {"model": model, "view": view, "head": card, "mil_recipe": recipe, "device": str(on)}
    notes |= {"patients_sha256": [sha256(path) for path in patients], "given_bags": source.given}
    notes |= {"slides_without_tiles": empty, "patients_without_tiles": lost}
    notes |= {"cost_seconds": round(perf_counter() - start, 1)}
    notes |= {"peak_memory_gb": round(peak_memory(on), 2)}
    scored = fold_of.loc[fold_of["role"].isin(SCORED_ROLES), ["id", "role", "label"]]
    write_predictions(predictions, scored, scores, split=split, notes=notes)


if __name__ == "__main__":
    run_script(main)
