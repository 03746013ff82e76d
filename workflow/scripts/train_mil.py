"""Train a classifier of patients on the bags of their slides, and score one fold's others."""

import sys
from functools import partial
from pathlib import Path
from time import perf_counter

import pandas as pd

from cryotome import recipes
from cryotome.bags import read_bag
from cryotome.cohorts import load_patients, load_slides
from cryotome.devices import peak_memory, pick_device, repeat_exactly, use_threads
from cryotome.job import run
from cryotome.mil import gather_bags, patients_with_bags, score_patients
from cryotome.paths import sha256
from cryotome.predictions import SCORED, write_predictions


def main(
    patients: list[Path],
    slides: list[Path],
    bags: list[Path],
    split: Path,
    predictions: Path,
    recipe: int,
    card: dict,
    model: str,
    view: str,
    fold: int,
    device: str,
    threads: int,
) -> None:
    assert recipe == recipes.MIL
    start, on = perf_counter(), pick_device(device)
    use_threads(threads)
    repeat_exactly(on)
    table = pd.concat([load_slides(path) for path in slides])
    targets = pd.concat([load_patients(path) for path in patients]).set_index("PATIENT")["TARGET"]
    where = {path.name.removesuffix(".h5"): path for path in bags}
    read = partial(read_bag, model=model, view=view, foreign=True)
    gathered, empty = gather_bags(table, lambda s: read(where[s]).features, which=card["slides"])
    roles = pd.read_csv(split, dtype=str, keep_default_na=False)
    fold_of, lost = patients_with_bags(roles, targets, gathered)
    for what, names in (("slides", empty), ("patients", lost)):
        print(f"{len(names)} {what} without a tile: {', '.join(names) or '-'}", file=sys.stderr)
    scores, notes = score_patients(
        gathered, fold_of, card, seed=card.get("seed", 0) + fold, device=on
    )
    notes |= {"model": model, "view": view, "head": card, "mil_recipe": recipe, "device": str(on)}
    notes |= {"patients_sha256": [sha256(path) for path in patients]}
    notes |= {"slides_without_tiles": empty, "patients_without_tiles": lost}
    notes |= {"cost_seconds": round(perf_counter() - start, 1)}
    notes |= {"peak_memory_gb": round(peak_memory(on), 2)}
    scored = fold_of[fold_of["role"].isin(SCORED)]
    labels = scored["label"].to_numpy()
    write_predictions(predictions, scored[["id", "role"]], labels, scores, split=split, notes=notes)


if __name__ == "__main__":
    run(main)
