"""Recipes of a head compared by validation cells; no test cell is scored.

    python benchmarks/search.py efficientnet_lite0 lora_short learning_rate=0.001 \\
        learning_rate=0.003,steps=1000

Each word is one recipe: what it changes of the head's card. The patches and the split must be made:
`snakemake --configfile config/studies/amibr.yaml results/patches/amibr.h5 SPLIT`.
"""

import argparse
import json
import tempfile
from pathlib import Path
from time import process_time

from cryotome.learners.endtoend.classifier import build_classifier
from cryotome.learners.endtoend.run import Run
from cryotome.learners.endtoend.training_data import read_training_data
from cryotome.learners.loop.batches import BatchLoader
from cryotome.learners.loop.checkpoints import checkpointed
from cryotome.runtime.devices import set_up_device
from cryotome.study.load import load_study


def main() -> None:
    """Train each recipe on the training cells of a fold; print its best validation."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("head")
    parser.add_argument("recipes", nargs="+")
    parser.add_argument("--study", default="amibr")
    parser.add_argument("--dataset", default="amibr")
    parser.add_argument("--scheme", default="slide_grouped")
    parser.add_argument("--fold", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    study, site = load_study(asked.study)
    on = set_up_device("auto", asked.threads, exact=True)
    results = Path("results")
    split = f"splits/{asked.dataset}/{asked.scheme}/fraction=1.0/fold={asked.fold}.csv"
    data = read_training_data(
        results / f"patches/{asked.dataset}.h5",
        results / f"cells/{asked.dataset}.csv",
        results / split,
    )
    for recipe in asked.recipes:
        changes = dict(word.split("=", 1) for word in recipe.split(","))
        card = study.head(asked.head) | {k: json.loads(v) for k, v in changes.items()}
        how = {"side": data.side, "seed": card["seed"], "head": card}
        encoder = study.model(asked.model)
        network, _ = build_classifier(encoder, asked.model, site.weights_dir, **how)
        run = Run(network.to(on), data, card, BatchLoader(data.pixels, on), card["seed"])
        start = process_time()
        with (
            tempfile.TemporaryDirectory() as folder,
            checkpointed(Path(folder) / "partial", {"recipe": recipe}) as checkpoint,
        ):
            curve = run.train(checkpoint).curve
        best = curve.loc[curve["validation_loss"].idxmin()]
        print(
            f"{asked.model} + {asked.head} {recipe}: validation loss "
            f"{best['validation_loss']:.4f}, AUROC {best['validation_auroc']:.4f} at step "
            f"{best['step']:.0f} (highest {curve['validation_auroc'].max():.4f}), "
            f"{process_time() - start:.0f} processor seconds",
            flush=True,
        )


if __name__ == "__main__":
    main()
