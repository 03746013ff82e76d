"""Kept classifiers of patients: an aggregator of tiles, or a regression on their mean."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from cryotome.core.cards import Card
from cryotome.learners.kept_file import Arrays
from cryotome.learners.probes.kept_head import LinearHead, checked

AGGREGATOR = "aggregator"


@dataclass(frozen=True)
class KeptAggregator:
    """A classifier of bags.

    Attributes
    ----------
    about
        Its record; `head_card` names the aggregator.
    arrays
        Weights of the network, or coefficients of a regression on mean features.
    """

    about: dict[str, Any]
    arrays: Arrays

    def score(self, features: np.ndarray) -> float:
        """Return P(positive) of one bag (n, dim) float32: all tiles of a slide or patient."""
        checked(features, self.about["encoder"]["dim"])
        if self._network is None:
            mean = features.mean(axis=0, dtype=float)
            logit = LinearHead(self.about, self.arrays).logits(mean[None])[0]
        else:
            logit = self._run(self._network, features)[0]
        return float(1 / (1 + np.exp(-logit)))

    def attention(self, features: np.ndarray) -> np.ndarray:
        """Return how much each tile of a bag counts (n,), summing to 1: in a mean, all the same."""
        checked(features, self.about["encoder"]["dim"])
        if self._network is None:
            return np.full(len(features), 1 / len(features))
        return self._run(self._network.attention, features)

    @cached_property
    def _network(self) -> Any:
        """The aggregator with its weights; None where a head takes the mean of the tiles."""
        name = self.about["head_card"]["aggregator"]
        if name == "mean_pool":
            return None
        import torch

        from cryotome.learners.mil.aggregators import build_aggregator

        network = build_aggregator(name, self.about["encoder"]["dim"], seed=0)
        network.load_state_dict({k: torch.from_numpy(v) for k, v in self.arrays.items()})
        return network

    def _run(self, of: Any, features: np.ndarray) -> np.ndarray:
        import torch

        with torch.inference_mode():
            return of(torch.from_numpy(features)).double().numpy()


def load_aggregator(arrays: Arrays, about: Card) -> KeptAggregator:
    """Return the classifier of a file that `train_mil` keeps."""
    return KeptAggregator(about, arrays)
