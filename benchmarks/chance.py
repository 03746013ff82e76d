"""What slide classification finds where there is nothing: labels of patients permuted.

After `snakemake --configfile config/studies/demo_patients.yaml --cores 2` made the bags:

    python benchmarks/chance.py

Each permutation draws the folds anew, as `split_patients` does, trains as `train_mil` does, and
tests patients of the cohort. The mean must be 0.5; its standard error is printed beside it.
"""

import argparse
import sys
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow"))

from cryotome.core.cards import load_card
from cryotome.core.metrics import auroc
from cryotome.data.cohorts import load_patients, load_slides
from cryotome.data.splits.patients import draw_patients
from cryotome.encoders.bag_store import read_bag
from cryotome.learners.mil.patient_data import load_bags, patients_with_bags
from cryotome.learners.mil.train import score_patients
from cryotome.runtime.devices import use_threads

CONFIG = Path(__file__).resolve().parents[1] / "config"
FOLDS = 5


def of_one_fold(people: pd.DataFrame, bags: dict, head: dict, fold: int) -> float:
    """Return the AUROC of a fold's test patients, whatever their labels are."""
    scheme = load_card(CONFIG, "schemes", "patient_folds")
    roles = draw_patients(people, scheme, fold=fold).roles
    targets = people.set_index("PATIENT")["TARGET"]
    table, _ = patients_with_bags(roles, targets, bags)
    with redirect_stderr(StringIO()):  # a line a look
        scores, _ = score_patients(bags, table, head, seed=fold, device=torch.device("cpu"))
    scored = table[table["role"].isin(["validation", "test"])].assign(score=scores)
    tested = scored[scored["role"] == "test"]
    return auroc(tested["label"].to_numpy(), tested["score"].to_numpy())


def main() -> None:
    """Print a line for each head."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--cohort", default="demo_patients")
    parser.add_argument("--bags", default="paper-fp32/resnet10t_random")
    parser.add_argument("--permutations", type=int, default=20)
    parser.add_argument("--one_fold", nargs="*", default=["transformer_mil_short"],
                        help="heads that take one fold of each permutation")  # fmt: skip
    given = parser.parse_args()
    use_threads(1)
    people = load_patients(given.results / "cohorts" / f"{given.cohort}.patients.csv")
    slides = load_slides(given.results / "cohorts" / f"{given.cohort}.slides.csv")
    folder = given.results / "bags" / given.cohort / given.bags
    view, model = given.bags.split("/")
    read = lambda name: read_bag(folder / f"{name}.h5", model=model, view=view).features  # noqa: E731
    bags, _ = load_bags(slides, read, which="all")
    for name in ("mean_pool", "abmil_short", "transformer_mil_short"):
        head, values = load_card(CONFIG, "heads", name), []
        for seed in tqdm(range(given.permutations), desc=name, mininterval=5):
            target = np.random.default_rng(seed).permutation(people["TARGET"].to_numpy())
            folds = [seed % FOLDS] if name in given.one_fold else range(FOLDS)
            shuffled = people.assign(TARGET=target)
            values.append(np.mean([of_one_fold(shuffled, bags, head, fold) for fold in folds]))
        error = np.std(values, ddof=1) / np.sqrt(len(values))
        print(f"{name}: mean AUROC of {len(values)} permutations {np.mean(values):.3f} "
              f"(standard error {error:.3f})", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
