"""Kept classifiers of patients: an aggregator of tiles, or a regression on their mean."""

from dataclasses import dataclass
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
        if self.about["head_card"]["aggregator"] == "mean_pool":
            mean = features.mean(axis=0, dtype=float)
            logit = LinearHead(self.about, self.arrays).logits(mean[None])[0]
        else:
            logit = self._network_logit(features)
        return float(1 / (1 + np.exp(-logit)))

    def _network_logit(self, features: np.ndarray) -> float:
        import torch

        from cryotome.learners.mil.aggregators import build_aggregator

        name = self.about["head_card"]["aggregator"]
        network = build_aggregator(name, features.shape[1], seed=0)
        network.load_state_dict({k: torch.from_numpy(v) for k, v in self.arrays.items()})
        with torch.inference_mode():
            return float(network(torch.from_numpy(features)).double())


def load_aggregator(arrays: Arrays, about: Card) -> KeptAggregator:
    """Return the classifier of a file that `train_mil` keeps."""
    return KeptAggregator(about, arrays)
