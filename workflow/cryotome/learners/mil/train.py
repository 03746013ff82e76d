"""Multiple-instance learning: classifiers of patients trained on the tiles of their slides."""

import sys
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from tqdm import tqdm

from cryotome.core.cards import Card
from cryotome.core.errors import TrainingError
from cryotome.core.metrics import auroc
from cryotome.learners.kept_file import Arrays
from cryotome.learners.loop.batches import MAX_GPU_FRACTION, to_device
from cryotome.learners.mil.aggregators import build_aggregator
from cryotome.learners.mil.patient_data import Bags, PatientData
from cryotome.learners.predictions import SCORED_ROLES


def weighted_loss(logits: np.ndarray, label: np.ndarray, weight: float) -> float:
    """Return the mean cross-entropy, positives weighted."""
    with np.errstate(invalid="ignore"):  # the caller checks that it is finite
        each = label * weight * np.logaddexp(0, -logits) + (1 - label) * np.logaddexp(0, logits)
    return float(each.mean())


@dataclass(frozen=True)
class PatientFit:
    """A fitted classifier of patients.

    Attributes
    ----------
    scores : (m,)
        P(positive) of the patients that did not train, in the order of the table.
    notes
        Facts of the fit for the metadata of the predictions.
    arrays
        What `KeptAggregator` scores other bags with.
    """

    scores: np.ndarray
    notes: dict[str, Any]
    arrays: Arrays


def score_patients(
    bags: Bags, table: pd.DataFrame, card: Card, *, seed: int, device: torch.device
) -> tuple[np.ndarray, dict[str, Any]]:
    """Return scores and notes of `fit_patients`."""
    fit = fit_patients(bags, table, card, seed=seed, device=device)
    return fit.scores, fit.notes


def fit_patients(
    bags: Bags, table: pd.DataFrame, card: Card, *, seed: int, device: torch.device
) -> PatientFit:
    """Train on training patients, select by validation patients, score all but training ones.

    Parameters
    ----------
    table
        Columns id, role, label.
    card
        Card of a head with the learner `mil`.
    """
    data = PatientData(bags, table)
    if card["aggregator"] == "mean_pool":
        logits, notes, arrays = _fit_means(data, card)
    else:
        logits, notes, arrays = _train(data, card, seed=seed, device=device)
    notes |= {"n_train": len(data.rows("train")), "positive_weight": data.positive_weight}
    scores = 1 / (1 + np.exp(-logits[table["role"].isin(SCORED_ROLES)]))
    return PatientFit(scores, notes, arrays)


def _fit_means(data: PatientData, card: Card) -> tuple[np.ndarray, dict[str, Any], Arrays]:
    """Fit a logistic regression on mean features, C chosen by the validation loss."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x = np.stack([data.bags[patient].mean(axis=0, dtype=float) for patient in data.table["id"]])
    y, weight = data.table["label"].to_numpy(), data.positive_weight
    train, validation = data.rows("train"), data.rows("validation")
    found = {}
    for strength in card["c_grid"]:
        model = LogisticRegression(C=strength, class_weight={0: 1.0, 1: weight}, max_iter=10_000)
        scaler = StandardScaler()
        logits = make_pipeline(scaler, model).fit(x[train], y[train]).decision_function(x)
        loss = weighted_loss(logits[validation], y[validation], weight)
        arrays = {"shift": scaler.mean_, "scale": scaler.scale_}
        arrays |= {"weights": model.coef_[0], "bias": model.intercept_[0]}
        found[strength] = loss, logits, {name: np.array(value) for name, value in arrays.items()}
    best = min(found, key=lambda strength: found[strength][0])
    loss, logits, arrays = found[best]
    return logits, {"strength": best, "validation_loss": loss}, arrays


def _train(
    data: PatientData, card: Card, *, seed: int, device: torch.device
) -> tuple[np.ndarray, dict[str, Any], Arrays]:
    """Train a network bag by bag, and score with the weights of lowest validation loss."""
    training = Training(data, card, seed=seed, device=device)
    rng, train = np.random.default_rng(seed), data.rows("train")
    batch, epochs = card["batch"], card["epochs"]
    epoch_steps = ceil(len(train) / batch)
    every = min(card["evaluate_every"], epoch_steps)  # as HistoBistro, train_k-fold.py
    with tqdm(total=epochs * epoch_steps, desc="train", unit="step", mininterval=10) as bar:
        for _ in range(epochs):
            order = rng.permutation(train)
            for first in range(0, len(train), batch):
                training.learn(order[first : first + batch])
                bar.update()
                if bar.n % every == 0 or bar.n % epoch_steps == 0:
                    training.validate(int(bar.n))
    training.network.load_state_dict(training.best)
    kept = min(training.evaluations, key=lambda result: result["validation_loss"])
    notes: dict[str, Any] = {name: kept[name] for name in ("step", "validation_loss")}
    notes["looks"] = training.evaluations
    arrays = {name: value.cpu().numpy() for name, value in training.best.items()}
    return training.logits(np.arange(len(data.table))), notes, arrays


class Training:
    """A network in training: AdamW with a constant learning rate, fp32, one bag at a time."""

    def __init__(self, data: PatientData, card: Card, *, seed: int, device: torch.device) -> None:
        self.data, self.device = data, device
        self.labels = data.table["label"].to_numpy().astype(np.float32)
        self._weight = torch.tensor([data.positive_weight], device=device)
        self._bags = _place_bags([data.bags[patient] for patient in data.table["id"]], device)
        self.network = build_aggregator(card["aggregator"], self._bags[0].shape[1], seed=seed)
        self.network.to(device)
        rates = {"lr": card["learning_rate"], "weight_decay": card["weight_decay"]}
        # on a CPU, a fused step takes a third of the time
        self._optimizer = torch.optim.AdamW(self.network.parameters(), **rates, fused=True)
        self._losses: list[Tensor] = []
        self.evaluations: list[dict[str, float]] = []
        self.best: dict[str, Tensor] = {}

    def _bag(self, row: int) -> Tensor:
        bag = self._bags[row]
        return bag if bag.device.type == self.device.type else to_device(bag, self.device)

    def learn(self, rows: np.ndarray) -> None:
        """Take one step on the mean loss of some patients."""
        self._optimizer.zero_grad()
        for row in rows:
            target = torch.tensor([self.labels[row]], device=self.device)
            logit = self.network(self._bag(row))
            loss = binary_cross_entropy_with_logits(logit, target, pos_weight=self._weight)
            (loss / len(rows)).backward()
            self._losses.append(loss.detach())
        self._optimizer.step()

    @torch.inference_mode()
    def logits(self, rows: np.ndarray) -> np.ndarray:
        """Return the logits of some patients, (n,) float64."""
        return torch.cat([self.network(self._bag(row)) for row in rows]).cpu().double().numpy()

    def validate(self, step: int) -> None:
        """Record the losses, and keep the weights if the validation loss is the lowest so far.

        Raises
        ------
        TrainingError
            A loss is not finite.
        """
        rows = self.data.rows("validation")
        logits, label = self.logits(rows), self.labels[rows].astype(float)
        result = {"step": step, "training_loss": float(torch.stack(self._losses).mean())}
        result |= {"validation_loss": weighted_loss(logits, label, self.data.positive_weight)}
        result |= {"validation_auroc": auroc(label, logits)}
        self._losses = []
        tqdm.write(", ".join(f"{k} {v:.4g}" for k, v in result.items()), file=sys.stderr)
        if not np.isfinite([result["training_loss"], result["validation_loss"]]).all():
            raise TrainingError(
                f"The loss is not finite at step {step}: training {result['training_loss']}, "
                f"validation {result['validation_loss']}. Lower `learning_rate` in the head's card."
            )
        if all(result["validation_loss"] < past["validation_loss"] for past in self.evaluations):
            self.best = {k: v.clone() for k, v in self.network.state_dict().items()}
        self.evaluations.append(result)


def _place_bags(bags: list[np.ndarray], device: torch.device) -> list[Tensor]:
    """Move all bags to a GPU with room for them; otherwise they stay in memory."""
    tensors = [torch.from_numpy(bag) for bag in bags]
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        if sum(bag.nbytes for bag in tensors) <= MAX_GPU_FRACTION * free:
            return [bag.to(device) for bag in tensors]
    return tensors
