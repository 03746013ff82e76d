"""What a job asks a scheduler for: memory and time, from the size of its work.

A first attempt asks for what the work should take, a retry for more (`workflow/rules`).
"""

from cryotome.cards import Card
from cryotome.study import LAST, Study

UNKNOWN_CELLS = 20_000  # where a card expects no count: about as many as MIDOG 2022 has
GPU_GFLOPS = 5_000  # that an old or busy GPU sustains; a projection must not be too short
LOOKS = 2  # a training's looks at its validation cells cost no more than its steps
SHORT = 20  # minutes that any job may take
MB = 1e6


def count_cells(card: Card) -> int:
    """Return how many cells a dataset's card expects."""
    expected = card.get("expect", {}).get("cells", {})
    return sum(map(sum, expected.values())) or UNKNOWN_CELLS


def patches_mb(study: Study, dataset: str) -> float:
    """Return the size of a dataset's patch store, MB."""
    card = study.dataset(dataset)
    return count_cells(card) * (card["patch"]["side"] * 17 / 14) ** 2 * 3 / MB


def embeddings_mb(study: Study, dataset: str, model: str) -> float:
    """Return the size of a store of embeddings, MB."""
    return count_cells(study.dataset(dataset)) * study.model(model)["dim"] * 4 / MB


def network_mb(study: Study, model: str) -> float:
    """Return the size of a model's parameters in fp32, MB; nothing where it has no network."""
    return study.model(model).get("parameters", 0) * 4 / MB


def embed_minutes(study: Study, dataset: str, model: str, view: str) -> float:
    """Return how long a slow GPU embeds a dataset."""
    if "gflops" not in study.model(model):
        return SHORT
    work = count_cells(study.dataset(dataset)) * study.gflop_per_patch(model, view, dataset)
    return SHORT + work / GPU_GFLOPS / 60


def train_minutes(study: Study, dataset: str, model: str, head: str) -> float:
    """Return how long a slow GPU trains a network, its looks at the validation cells included.

    A view costs three forwards, one of them forward and two backward.
    """
    card = study.head(head.removesuffix(LAST))
    views = 3 * card["steps"] * card["batch"] * LOOKS
    work = views * study.gflop_per_patch(model, "patches", dataset)
    return SHORT + work / GPU_GFLOPS / 60
