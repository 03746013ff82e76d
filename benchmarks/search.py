"""Recipes of a head compared by validation cells; no test cell is scored.

    python benchmarks/search.py efficientnet_lite0 lora_short learning_rate=0.001 \\
        learning_rate=0.003,steps=1000
    python benchmarks/search.py efficientnet_lite0 ridge_cv --dataset amibr_128px

Each word is one recipe: what it changes of the head's card. What a head reads must be made: the
split, and the patches or, for a head on frozen embeddings, the embeddings, such as by
`snakemake SPLIT results/patches/amibr.h5 --cores 2 --configfile config/studies/amibr.yaml`.
"""

import argparse
import json
import tempfile
from pathlib import Path
from time import process_time

from sklearn.metrics import roc_auc_score

from cryotome.core.tables import read_csv
from cryotome.learners.endtoend.classifier import build_classifier
from cryotome.learners.endtoend.run import Run
from cryotome.learners.endtoend.training_data import read_training_data
from cryotome.learners.loop.batches import BatchLoader
from cryotome.learners.loop.checkpoints import checkpointed
from cryotome.learners.probes.labelled import read_labelled
from cryotome.learners.probes.probe import fit_and_score_folds
from cryotome.runtime.devices import set_up_device
from cryotome.study.load import load_study
from cryotome.study.study import Study

RESULTS = Path("results")


def main() -> None:
    """Train or fit each recipe on the training cells of a fold; print its validation."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("head")
    parser.add_argument("recipes", nargs="*", default=[""])
    parser.add_argument("--study", default="amibr")
    parser.add_argument("--dataset", default="amibr")
    parser.add_argument("--scheme", default="slide_grouped")
    parser.add_argument("--fold", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    study, site = load_study(asked.study)
    compare = try_frozen if study.head(asked.head)["learner"] != "endtoend" else try_trained
    for recipe in asked.recipes:
        changes = dict(word.split("=", 1) for word in recipe.split(",") if word)
        card = study.head(asked.head) | {k: json.loads(v) for k, v in changes.items()}
        start = process_time()
        said = compare(asked, card, study, site.weights_dir)
        spent = process_time() - start
        name = f"{asked.model} + {asked.head} on {asked.dataset} {recipe}"
        print(f"{name}: {said}, {spent:.0f} processor seconds", flush=True)


def split_path(asked: argparse.Namespace, dataset: str) -> Path:
    """Return the split of all training cells, which the crops of a dataset share."""
    folder = RESULTS / "splits" / dataset / asked.scheme
    return folder / f"fraction=1.0/fold={asked.fold}.csv"


def try_trained(asked: argparse.Namespace, card: dict, study: Study, weights: Path) -> str:
    """Train a network and return its best validation."""
    on = set_up_device("auto", asked.threads, exact=True)
    data = read_training_data(
        RESULTS / f"patches/{asked.dataset}.h5",
        RESULTS / f"cells/{asked.dataset}.csv",
        split_path(asked, study.split_source(asked.dataset)),
    )
    how = {"side": data.side, "seed": card["seed"], "head": card}
    network, _ = build_classifier(study.model(asked.model), asked.model, weights, **how)
    run = Run(network.to(on), data, card, BatchLoader(data.pixels, on), card["seed"])
    with (
        tempfile.TemporaryDirectory() as folder,
        checkpointed(Path(folder) / "partial", {"recipe": card}) as checkpoint,
    ):
        curve = run.train(checkpoint).curve
    best = curve.loc[curve["validation_loss"].idxmin()]
    return (
        f"validation loss {best['validation_loss']:.4f}, AUROC {best['validation_auroc']:.4f} at "
        f"step {best['step']:.0f} (highest {curve['validation_auroc'].max():.4f})"
    )


def try_frozen(asked: argparse.Namespace, card: dict, study: Study, _: Path) -> str:
    """Fit a head on embeddings and return its validation; test cells become unused ones."""
    source, view = study.split_source(asked.dataset), study.view
    embeddings = RESULTS / f"embeddings/{asked.dataset}/{view}/{asked.model}.h5"
    cells = RESULTS / f"cells/{asked.dataset}.csv"
    known = read_labelled([embeddings], [cells], [], model=asked.model, view=view)
    table = read_csv(split_path(asked, source)).query("role != 'test'")
    with tempfile.TemporaryDirectory() as folder:
        table.to_csv(split := Path(folder) / "split.csv", index=False)
        rows = known.fold(split).rows
    rows = type(rows)(rows.train, rows.validation, rows.validation)
    scores, *_ = next(fit_and_score_folds(card, known.x, known.y, [rows]))
    return f"validation AUROC {roc_auc_score(known.y[rows.validation], scores):.4f}"


if __name__ == "__main__":
    main()
