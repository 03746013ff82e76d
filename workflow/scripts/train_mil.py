"""Train a classifier of patients on the bags of their slides, and score one fold's others."""

from pathlib import Path
from time import perf_counter

from cryotome.core import step_versions
from cryotome.core.files import sha256
from cryotome.encoders.bag_store import BagFolders
from cryotome.learners.kept_file import write_kept
from cryotome.learners.mil.kept_aggregator import AGGREGATOR
from cryotome.learners.mil.patient_data import read_patients
from cryotome.learners.mil.train import fit_patients
from cryotome.learners.predictions import SCORED_ROLES, write_predictions
from cryotome.runtime.devices import peak_memory, set_up_device
from cryotome.runtime.job import run_script


def main(
    patients: list[Path], slides: list[Path], bags: list[Path], split: Path, predictions: Path,
    kept: list[Path], recipe: int, folders: dict, card: dict, trained_on: dict, model: str,
    view: str, fold: int, device: str, threads: int,
) -> None:  # fmt: skip
    assert recipe == step_versions.MIL
    start, on = perf_counter(), set_up_device(device, threads, exact=True)
    source = BagFolders(folders, bags, model=model, view=view)
    data, facts = read_patients(patients, slides, split, source, which=card["slides"])
    seed, table = card.get("seed", 0) + fold, data.table
    fit = fit_patients(data.bags, table, card, seed=seed, device=on)
    about = {"model": model, "view": view, "head": card, "mil_recipe": recipe, "device": str(on)}
    notes = fit.notes | about | facts | {"cost_seconds": round(perf_counter() - start, 1)}
    notes |= {"peak_memory_gb": round(peak_memory(on), 2)}
    scored = table.loc[table["role"].isin(SCORED_ROLES), ["id", "role", "label"]]
    write_predictions(predictions, scored, fit.scores, split=split, notes=notes)
    for path in kept:
        about |= trained_on | facts | {"head_card": card, "seed": seed}
        write_kept(path, fit.arrays, AGGREGATOR, about | {"split_sha256": sha256(split)})


if __name__ == "__main__":
    run_script(main)
