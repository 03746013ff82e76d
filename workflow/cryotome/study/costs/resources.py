"""What a job asks a scheduler for: memory and time, from the size of its work.

A first attempt asks for what the work should take on a slow machine, a retry for more
(`workflow/rules/common.smk`).
"""

from cryotome.study.costs.disk import PIXELS
from cryotome.study.costs.gflop import Job, cells_of, finetuning_gflop, gflop_of, tiles_of
from cryotome.study.costs.prices import CORE_GFLOPS
from cryotome.study.geometry import stored_side
from cryotome.study.study import Study

UNKNOWN_CELLS = 20_000  # where a card expects no count: about as many as MIDOG 2022 has
# GFLOP/s that an old or busy GPU sustains, and a few cores; a projection must not be too short
RATES = {True: 5_000, False: 2 * CORE_GFLOPS}
SHORT = 20  # minutes that any job may take
MB = 1e6


def count_cells(study: Study, dataset: str) -> int:
    """Return how many cells a dataset's card expects."""
    return sum(cells_of(study, dataset).values()) or UNKNOWN_CELLS


def estimate_patches_mb(study: Study, dataset: str) -> float:
    """Return the size of a dataset's patch store, MB."""
    side = stored_side(study.dataset(dataset)["patch"]["side"])
    return count_cells(study, dataset) * PIXELS * side**2 / MB


def estimate_embeddings_mb(study: Study, dataset: str, model: str) -> float:
    """Return the size of a store of embeddings, MB."""
    return count_cells(study, dataset) * study.model(model)["dim"] * 4 / MB


def estimate_probe_mb(study: Study, datasets: list[str], w: dict[str, str]) -> float:
    """Return the memory of a job that fits a head on the embeddings of these datasets, MB."""
    model, head = study.model(w["model"]), study.head(w["head"])
    cells = sum(count_cells(study, name) for name in datasets)
    folds = len(study.folds) * len(study.training_fractions(w["scheme"])) if "scheme" in w else 1
    classes = max(len(study.dataset(name).get("classes", [])) for name in datasets)
    cells *= VOTED if head.get("labels") == "soft" else 1
    return 1_000 + estimate_fit_mb(
        head["learner"], cells, model["dim"], folds=folds, classes=classes
    )


def estimate_network_mb(study: Study, model: str) -> float:
    """Return the size of a model's parameters in fp32, MB; nothing where it has no network."""
    return study.model(model).get("parameters", 0) * 4 / MB


def estimate_embed_minutes(study: Study, wildcards: dict[str, str], *, on_gpu: bool) -> float:
    """Return how long a slow machine embeds a dataset, or one of so many `parts` of it."""
    patch = study.forward_gflop(wildcards["model"], wildcards["view"], wildcards["dataset"])
    count = count_cells(study, wildcards["dataset"]) / int(wildcards.get("parts", 1))
    return SHORT + count * patch / RATES[on_gpu] / 60


def estimate_train_minutes(study: Study, wildcards: dict[str, str], *, on_gpu: bool) -> float:
    """Return how long a slow machine trains a network, looks at the validation cells included."""
    return SHORT + gflop_of(study, Job("train_endtoend", wildcards)) / RATES[on_gpu] / 60


def estimate_finetune_mb(study: Study, name: str) -> float:
    """Return the memory of a finetuning's process, MB: weights, moments, and the patches.

    Patches of a store lie in memory whole; tiles of slides are read as they are needed.
    """
    card = study.finetuning(name)
    held = 0.0
    if study.dataset(card["dataset"])["reader"] != "slides":
        held = estimate_patches_mb(study, card["dataset"])
    return 8_000 + 6 * estimate_network_mb(study, card["base"]) + held


def estimate_finetune_minutes(study: Study, name: str, *, on_gpu: bool) -> float:
    """Return how long a slow machine finetunes."""
    return SHORT + finetuning_gflop(study, name) / RATES[on_gpu] / 60


def estimate_slide_minutes(study: Study, wildcards: dict[str, str], *, on_gpu: bool) -> float:
    """Return how long a slow machine embeds one slide."""
    return SHORT + gflop_of(study, Job("embed_slide", wildcards)) / RATES[on_gpu] / 60


def estimate_bag_mb(study: Study, dataset: str, model: str) -> float:
    """Return the size of a slide's bag, MB; half as many tiles again as most have."""
    return 1.5 * tiles_of(study, dataset) * study.model(model)["dim"] * 4 / MB


# copies of the embeddings that a fit holds at its peak, itself among them: benchmarks/load.py
# (steps probe, logreg); all others: 4
VOTED = 3  # times the cells where each rater's vote is a row
COPIES = {"knn": 5, "logreg": 6, "prevalence": 6.5}


MARGINS = 120  # bytes of a cell in each fold and class: margins, weights, and their steps


def estimate_fit_mb(learner: str, cells: int, dim: int, *, folds: int, classes: int = 2) -> float:
    """Return the memory that a fit on embeddings takes at its peak, MB; libraries left out.

    Parameters
    ----------
    folds
        Fits of one job, which share their passes over the embeddings.
    """
    columns = folds * (classes if classes > 2 else 1)
    return (COPIES.get(learner, 4) * dim * 4 + MARGINS * columns) * cells / 1e6
