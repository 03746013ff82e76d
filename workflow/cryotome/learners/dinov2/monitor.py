"""The monitor of a finetuning: evaluates the teacher, and stops when its embeddings collapse.

At the usual learning rates, continuing DINOv2 without its heads ruins it: its k-NN accuracy fell
from 80 % to 10 % (facebookresearch/dinov2, issue 204). An evaluation is no result: its images
are drawn from the training images, so that no test image chooses a checkpoint.
"""

from typing import Any

import numpy as np
import torch
from sklearn.metrics import balanced_accuracy_score
from sklearn.preprocessing import normalize

from cryotome.core.cards import Card
from cryotome.core.errors import TrainingError
from cryotome.learners.dinov2.backbone import MaskedViT
from cryotome.learners.dinov2.crops import resize_images
from cryotome.learners.dinov2.images import TrainingImages
from cryotome.learners.dinov2.sampling import SAMPLE, generator_for
from cryotome.learners.loop.step import autocast_for
from cryotome.learners.probes.linear import fit_linear
from cryotome.learners.probes.neighbours import score_knn

BATCH_IMAGES = {"cpu": 64, "cuda": 256}  # images embedded at once
MIN_LEAD = 0.1  # accuracy above chance level before training, below which a fall is noise
SCORE_TITLES = {"knn": "k-NN", "probe": "linear probe"}


def _balanced(label: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Draw equally many of each class, shuffled; (classes, each), an even number of each."""
    places = [np.flatnonzero(label == one) for one in np.unique(label)]
    each = min(count // len(places), *map(len, places)) // 2 * 2
    return np.stack([rng.permutation(place)[:each] for place in places])


class Monitor:
    """Images of every evaluation; with labels, half to fit on and half held out."""

    def __init__(self, images: TrainingImages, card: Card, side: int) -> None:
        self.images, self.side, self.settings = images, side, card["monitoring"]
        rng, count = generator_for(card["seed"], SAMPLE), card["monitoring"]["images"]
        self.label = images.label
        if images.label is not None and len(np.unique(images.label)) < 2:
            self.label = None
        if self.label is None:
            place = rng.permutation(len(images.rows))[:count]
        else:
            drawn = _balanced(self.label, count, rng)
            place = np.concatenate(np.split(drawn, 2, axis=1), axis=None)
            self.label = self.label[place]
        self.rows = images.rows[place]

    @property
    def chance_level(self) -> float:
        """Balanced accuracy of a guess; NaN without labels."""
        return 1 / len(np.unique(self.label)) if self.label is not None else np.nan

    def embed(self, backbone: MaskedViT, precision: torch.dtype) -> np.ndarray:
        """Return the class tokens of the images, not augmented, (n, dim) float32."""
        parts, device = [], backbone.mean.device
        with torch.inference_mode(), autocast_for(device, precision):
            for rows in torch.from_numpy(self.rows).split(BATCH_IMAGES[device.type]):
                views = resize_images(self.images.loader.take(rows), self.side)
                parts.append(backbone(views)[0].float())
        return torch.cat(parts).cpu().numpy()

    def evaluate(self, backbone: MaskedViT, precision: torch.dtype) -> dict[str, float]:
        """Return balanced accuracy of k-NN and linear probe, and the spread of the embeddings.

        The first two are NaN without labels. The spread is the SD of embeddings of length one:
        0 where all are equal, at most 1.
        """
        x = self.embed(backbone, precision)
        if not np.isfinite(x).all():
            return {"knn": np.nan, "probe": np.nan, "spread": np.nan}
        spread = float(np.sqrt(normalize(x).var(axis=0).sum()))
        if self.label is None:
            return {"knn": np.nan, "probe": np.nan, "spread": spread}
        half = len(x) // 2
        fit, fit_label, held = x[:half], self.label[:half], x[half:]
        votes, _ = score_knn(fit, fit_label, held, neighbours=self.settings["neighbours"])
        linear = fit_linear(fit, fit_label, penalty=self.settings["cost_factor"], squared=True)
        scores = {"knn": self._accuracy(votes), "probe": self._accuracy(linear.score(held))}
        return scores | {"spread": spread}

    def _accuracy(self, scores: np.ndarray) -> float:
        both = np.stack([1 - scores, scores], axis=1) if scores.ndim == 1 else scores
        label = self.label[len(self.rows) // 2 :]  # type: ignore[index]
        return float(balanced_accuracy_score(label, np.unique(label)[both.argmax(axis=1)]))


def raise_if_collapsed(evaluations: list[dict[str, Any]], chance_level: float, card: Card) -> None:
    """Stop when the embeddings have collapsed compared with those before finetuning.

    Parameters
    ----------
    evaluations
        Of `Monitor.evaluate`, each with its `iteration`; the first is before any step.

    Raises
    ------
    TrainingError
        k-NN and linear probe both keep too little of their lead over chance level, or the
        embeddings have become nearly equal, or are not finite.
    """
    first, last, limits = evaluations[0], evaluations[-1], card["monitoring"]
    leads = {name: first[name] - chance_level for name in SCORE_TITLES}
    leads = {name: lead for name, lead in leads.items() if lead >= MIN_LEAD}
    least = limits["min_lead"]
    fallen = [name for name in leads if last[name] - chance_level < least * leads[name]]
    lost = [f"{SCORE_TITLES[name]} from {first[name]:.3f} to {last[name]:.3f}" for name in fallen]
    lost = lost if len(fallen) == len(leads) else []
    if not last["spread"] >= limits["min_spread"] * first["spread"]:  # true for NaN, too
        lost.append(
            f"the spread of the embeddings from {first['spread']:.3g} to {last['spread']:.3g}"
        )
    if lost:
        best = max(evaluations, key=lambda one: one["knn" if leads else "spread"])
        raise TrainingError(
            f"The finetuning collapsed at iteration {last['iteration']:,.0f}: {', '.join(lost)}; "
            f"chance level is {chance_level:.3f}. The best evaluation was at "
            f"{best['iteration']:,.0f}. Lower `learning_rate` in the finetuning card, or set "
            "`stop_iteration` to an earlier iteration; `monitoring: {min_lead: 0, min_spread: 0}` "
            "disables this check."
        )
