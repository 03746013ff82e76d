"""Classify patients by the tiles of their slides: train on some, score the others."""

import sys
from collections.abc import Callable, Mapping
from math import ceil
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from tqdm import tqdm

from cryotome.core.cards import Card
from cryotome.core.errors import SplitError, StoreError, TrainingError
from cryotome.core.metrics import auroc
from cryotome.learners.loop.batches import MAX_GPU_FRACTION, to_device
from cryotome.learners.mil.aggregators import build_aggregator
from cryotome.learners.predictions import SCORED

Bags = Mapping[str, np.ndarray]  # patient to the tiles' features, (n, dim) float32
ROLE_NAMES = {"train": "training", "validation": "validation", "test": "test", "external": "external"}


def load_bags(
    slides: pd.DataFrame, read: Callable[[str], np.ndarray], *, which: str
) -> tuple[Bags, list[str]]:
    """Lay the tiles of each patient's slides together.

    Parameters
    ----------
    slides
        Columns FILENAME, PATIENT.
    read
        From a slide's name to its features (n, dim); n is 0 where the slide cannot be used.
    which
        `all`: every slide of a patient, one behind the other. `first`: the first by name
        that has tiles (HistoBistro reads one slide a patient, data.py).

    Returns
    -------
    patient to features, patients without a tile left out; the slides read that have no tiles

    Raises
    ------
    StoreError
        A bag has NaN or infinite features, or another number of them than the others.
    """
    bags: dict[str, np.ndarray] = {}
    empty, dim = [], None
    by_patient = slides.sort_values("FILENAME").groupby("PATIENT")["FILENAME"]
    for patient, names in tqdm(by_patient, desc="read bags", unit="patient", mininterval=5):
        full: list[np.ndarray] = []
        for name in names:
            tiles = read(name)
            dim = tiles.shape[1] if dim is None else dim
            if tiles.shape[1] != dim or not np.isfinite(tiles.sum(dtype=float)):
                raise StoreError(
                    f"The bag of slide {name} has {tiles.shape[1]} features a tile, where others "
                    f"have {dim}, or features that are NaN or infinite. Delete it and rerun."
                )
            full += [tiles] * bool(len(tiles))
            empty += [name] * (not len(tiles))
            if full and which == "first":
                break
        if full:
            bags[str(patient)] = np.concatenate(full)
    return bags, empty


def patients_with_bags(
    roles: pd.DataFrame, targets: pd.Series, bags: Bags
) -> tuple[pd.DataFrame, list[str]]:
    """Return the patients of a fold that have tiles, and the names of the others.

    Parameters
    ----------
    roles
        Columns id, role.
    targets
        Patient to 0 or 1.

    Returns
    -------
    data frame id, role, label; patients without a tile

    Raises
    ------
    SplitError
        A role holds one class only of those.
    """
    has = roles["id"].isin(list(bags))
    table = roles[has].assign(label=targets.loc[roles.loc[has, "id"]].to_numpy())
    for role in roles["role"].unique():
        found = table.loc[table["role"] == role, "label"]
        if found.nunique() < 2:
            raise SplitError(
                f"The {len(found)} {ROLE_NAMES[role]} patients whose slides have tiles are of one class "
                f"({(roles['role'] == role).sum()} were drawn). The log and results/tiles/ name "
                "the slides without; bring more, or leave this fold out."
            )
    return table.reset_index(drop=True), sorted(roles.loc[~has, "id"])


def _loss(logits: np.ndarray, label: np.ndarray, weight: float) -> float:
    """Return the mean cross-entropy, positives weighted."""
    with np.errstate(invalid="ignore"):  # the caller judges a loss that is not finite
        each = label * weight * np.logaddexp(0, -logits) + (1 - label) * np.logaddexp(0, logits)
    return float(each.mean())


def score_patients(
    bags: Bags, table: pd.DataFrame, card: Card, *, seed: int, device: torch.device
) -> tuple[np.ndarray, dict[str, Any]]:
    """Train on the training patients, select by the validation patients, score all but training.

    Parameters
    ----------
    table
        Columns id, role, label.
    card
        Of a head with the learner `mil`.

    Returns
    -------
    P(positive) of the patients of other roles, in the order of the table; notes
    """
    label = table["label"].to_numpy()[table["role"] == "train"]
    weight = float((label == 0).sum() / (label == 1).sum())
    fit = _fit_means if card["aggregator"] == "mean_pool" else _train
    logits, notes = fit(bags, table, card, weight=weight, seed=seed, device=device)
    notes |= {"n_train": len(label), "positive_weight": weight}
    return 1 / (1 + np.exp(-logits[table["role"].isin(SCORED)])), notes


def _fit_means(
    bags: Bags, table: pd.DataFrame, card: Card, *, weight: float, **_: Any
) -> tuple[np.ndarray, dict[str, Any]]:
    """Fit a logistic regression on mean features, its strength chosen by validation patients."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x = np.stack([bags[patient].mean(axis=0, dtype=float) for patient in table["id"]])
    y, role = table["label"].to_numpy(), table["role"].to_numpy()
    train, watch = role == "train", role == "validation"
    found = {}
    for strength in card["strengths"]:
        model = LogisticRegression(C=strength, class_weight={0: 1.0, 1: weight}, max_iter=10_000)
        logits = make_pipeline(StandardScaler(), model).fit(x[train], y[train]).decision_function(x)
        found[strength] = _loss(logits[watch], y[watch], weight), logits
    best = min(found, key=lambda strength: found[strength][0])
    return found[best][1], {"strength": best, "validation_loss": found[best][0]}


def _train(
    bags: Bags, table: pd.DataFrame, card: Card, *, weight: float, seed: int, device: torch.device
) -> tuple[np.ndarray, dict[str, Any]]:
    """Train a network, one bag after the other, and score with the best look's weights."""
    training = Training(bags, table, card, weight=weight, seed=seed, device=device)
    rng, at = np.random.default_rng(seed), np.flatnonzero(table["role"] == "train")
    batch, epochs = card["batch"], card["epochs"]
    whole = ceil(len(at) / batch)  # steps of an epoch
    every = min(card["evaluate_every"], whole)  # as HistoBistro, train_k-fold.py
    with tqdm(total=epochs * whole, desc="train", unit="step", mininterval=10) as bar:
        for _ in range(epochs):
            order = rng.permutation(at)
            for begun in range(0, len(at), batch):
                training.learn(order[begun : begun + batch])
                bar.update()
                if bar.n % every == 0 or bar.n % whole == 0:
                    training.look(int(bar.n))
    training.network.load_state_dict(training.best)
    kept = min(training.looks, key=lambda look: look["validation_loss"])
    notes = {"step": kept["step"], "validation_loss": kept["validation_loss"]}
    return training.logits(np.arange(len(table))), notes | {"looks": training.looks}


class Training:
    """A network under training: AdamW without a schedule, fp32, a bag at a time."""

    def __init__(
        self,
        bags: Bags,
        table: pd.DataFrame,
        card: Card,
        *,
        weight: float,
        seed: int,
        device: torch.device,
    ) -> None:
        self.table, self.weight, self.device = table, weight, device
        self.labels = table["label"].to_numpy().astype(np.float32)
        self._bags = _place_bags([bags[patient] for patient in table["id"]], device)
        self.network = build_aggregator(card["aggregator"], self._bags[0].shape[1], seed=seed)
        self.network.to(device)
        rates = {"lr": card["learning_rate"], "weight_decay": card["weight_decay"]}
        # fused: on a processor a step costs a third of the ordinary one's
        self._optimizer = torch.optim.AdamW(self.network.parameters(), **rates, fused=True)
        self._losses: list[Tensor] = []
        self.looks: list[dict[str, float]] = []
        self.best: dict[str, Tensor] = {}

    def _bag(self, row: int) -> Tensor:
        bag = self._bags[row]
        return bag if bag.device.type == self.device.type else to_device(bag, self.device)

    def learn(self, rows: np.ndarray) -> None:
        """Take one step on the mean loss of these patients."""
        self._optimizer.zero_grad()
        weight = torch.tensor([self.weight], device=self.device)
        for row in rows:
            target = torch.tensor([self.labels[row]], device=self.device)
            logit = self.network(self._bag(row))
            loss = binary_cross_entropy_with_logits(logit, target, pos_weight=weight)
            (loss / len(rows)).backward()
            self._losses.append(loss.detach())
        self._optimizer.step()

    @torch.inference_mode()
    def logits(self, rows: np.ndarray) -> np.ndarray:
        """Return the logits of these patients, (n,) float64."""
        return torch.cat([self.network(self._bag(row)) for row in rows]).cpu().double().numpy()

    def look(self, step: int) -> None:
        """Note the losses, and keep the weights where the validation loss is the lowest so far.

        Raises
        ------
        TrainingError
            A loss is not finite.
        """
        watch = np.flatnonzero(self.table["role"] == "validation")
        logits, label = self.logits(watch), self.labels[watch].astype(float)
        seen = {"step": step, "training_loss": float(torch.stack(self._losses).mean())}
        seen |= {"validation_loss": _loss(logits, label, self.weight)}
        seen |= {"validation_auroc": auroc(label, logits)}
        self._losses = []
        tqdm.write(", ".join(f"{k} {v:.4g}" for k, v in seen.items()), file=sys.stderr)
        if not np.isfinite([seen["training_loss"], seen["validation_loss"]]).all():
            raise TrainingError(
                f"The loss is not finite at step {step}: training {seen['training_loss']}, "
                f"validation {seen['validation_loss']}. Lower `learning_rate` in the head's card."
            )
        if all(seen["validation_loss"] < past["validation_loss"] for past in self.looks):
            self.best = {k: v.clone() for k, v in self.network.state_dict().items()}
        self.looks.append(seen)


def _place_bags(bags: list[np.ndarray], device: torch.device) -> list[Tensor]:
    """Put all bags on a GPU that has room for them; else they stay in memory."""
    tensors = [torch.from_numpy(bag) for bag in bags]
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        if sum(bag.nbytes for bag in tensors) <= MAX_GPU_FRACTION * free:
            return [bag.to(device) for bag in tensors]
    return tensors
