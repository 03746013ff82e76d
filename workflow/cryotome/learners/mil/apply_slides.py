"""Kept classifiers of patients on the slides of another cohort, each slide by itself."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cryotome.core.cards import Card
from cryotome.core.errors import StoreError
from cryotome.encoders.bag_store import Bag, read_bag
from cryotome.learners.kept_file import read_kept
from cryotome.learners.mil.kept_aggregator import AGGREGATOR, KeptAggregator, load_aggregator

COMPARED = {"mpp": "µm/px of a tile", "side": "side of a tile, px"}


@dataclass(frozen=True)
class ScoredSlide:
    """One slide by the models of all folds.

    Attributes
    ----------
    bag
        Its tiles; none where the slide cannot be used, which its `status` and `reason` say.
    scores : (folds,)
        P(positive); empty without tiles.
    attention : (n,)
        How much each tile counts, mean over the folds' models; sums to 1.
    """

    name: str
    bag: Bag
    scores: np.ndarray
    attention: np.ndarray


def load_classifiers(paths: list[Path], tiling: Card) -> list[KeptAggregator]:
    """Load the models of all folds.

    Parameters
    ----------
    tiling
        `mpp` and `side` of the tiles that they are to see.

    Raises
    ------
    StoreError
        A file is damaged or no classifier of slides; its tiles had another side or resolution.
    """
    models = []
    for path in paths:
        arrays, about = read_kept(path)
        if about["kind"] != AGGREGATOR:
            raise StoreError(f"{path} is of kind {about['kind']!r}: no classifier of slides.")
        differing = [
            f"{what}: {about['patch'][key]:g} in training, {tiling[key]:g} here"
            for key, what in COMPARED.items()
            if about["patch"] and about["patch"][key] != tiling[key]
        ]
        if differing:
            raise StoreError(
                f"{path} cannot score these slides. {'; '.join(differing)}. Correct `tiles: "
                "classify:` of their card, or train on tiles like these."
            )
        models.append(load_aggregator(arrays, about))
    return models


def score_slides(models: list[KeptAggregator], bags: list[Path]) -> Iterator[ScoredSlide]:
    """Yield the slides of a cohort with their scores and the attention of their tiles.

    Parameters
    ----------
    models
        Of `load_classifiers`, of one encoder and view.

    Raises
    ------
    StoreError
        A bag is damaged, or its encoder is another than that of the models.
    """
    about = models[0].about
    for path in bags:
        bag = read_bag(path, model=about["model"], view=about["view"])
        _require_encoder(about, bag, path)
        scores = np.array([model.score(bag.features) for model in models if len(bag.features)])
        seen = [model.attention(bag.features) for model in models if len(bag.features)]
        attention = np.mean(seen, axis=0) if seen else np.zeros(0)
        yield ScoredSlide(bag.attributes["slide"], bag, scores, attention)


def _require_encoder(about: dict[str, Any], bag: Bag, path: Path) -> None:
    trained, here = about["encoder"], json.loads(bag.attributes["card"])
    differing = [
        key for key in sorted({*trained, *here}) if trained.get(key) != here.get(key)
    ]  # fmt: skip
    if differing:
        key = differing[0]
        raise StoreError(
            f"{path} was embedded by another {about['model']} than the one that trained. {key}: "
            f"{trained.get(key)!r} in training, {here.get(key)!r} here. Train or embed again."
        )
