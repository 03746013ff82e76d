"""Probes trained ever more confounded: the normalised integrated performance degradation, nIPD.

A probe is trained on slides where a class comes ever more often from some values of the confounder,
and tested on balanced other slides. nIPD is the area of what it loses, as a fraction of its skill
above chance: 0 where nothing is lost, -0.5 for a straight fall to chance (Grisi et al. 2026, arXiv
2607.25497; probes and search of their penalty: PathoROB).
"""

import random
import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd
from croma import nipd
from croma.downstream.probe import IN_DOMAIN, SlideCells, probe_sweep_over_test_sets
from sklearn.exceptions import ConvergenceWarning

from cryotome.evaluation.robustness.sample import SEED

REPEATS = 20  # of the sweep, each on other slides
TRAINED, VALIDATED = 0.75, 0.2  # of the slides; of those that train
LEAST = 2  # slides of a class and value in a balanced training


def measure_nipd(x: np.ndarray, manifest: pd.DataFrame) -> float:
    """Return the nIPD of embeddings, one cell of each class a slide.

    Parameters
    ----------
    x : (n, dim)
    manifest
        From `sample_cells`. Of an odd number of values that with the fewest slides is left out.

    Raises
    ------
    ValueError
        Slides are the confounder, too few have both classes, or the balanced probe is not above
        chance.
    """
    if (manifest["confounder"] == manifest["slide"]).all():
        raise ValueError("a probe is tested on slides that train none")
    rows = _two_a_slide(manifest.reset_index(drop=True))
    of_value = rows.groupby("confounder")["slide"].nunique().sort_values(ascending=False)
    values = list(of_value.index[: len(of_value) // 2 * 2])
    half = int((TRAINED * of_value.get(values[-1], 0) - 1) / (2 + 2 * VALIDATED)) if values else 0
    if half < LEAST:
        raise ValueError("too few slides with both classes")
    rows = rows[rows["confounder"].isin(values)]
    steps = [0, half // 2, half]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # of weak penalties in the search
        scores = probe_sweep_over_test_sets(
            x[rows.index], rows["confounder"].map(values.index).to_numpy(),
            rows["label"].to_numpy(), schedule=[_split(len(values), half, step) for step in steps],
            iterations=REPEATS, seed=SEED, validation_fraction=VALIDATED,
            arrange_slides=_together(rows["slide"].tolist()),
        )[IN_DOMAIN]  # fmt: skip
    return nipd(scores, [step / half for step in steps], chance=0.5)


def _two_a_slide(manifest: pd.DataFrame) -> pd.DataFrame:
    """Return one cell of each class of every slide that has both."""
    one = manifest.sample(frac=1, random_state=SEED).drop_duplicates(["slide", "label"])
    return one[one.groupby("slide")["label"].transform("size") == 2].sort_index()


def _split(values: int, half: int, step: int) -> tuple[list[tuple[int, int, int]], int]:
    """Return how many cells of each value and class train: those of a class in every other value.

    >>> _split(2, 4, 1)
    ([(0, 0, 3), (0, 1, 5), (1, 0, 5), (1, 1, 3)], 8)
    """
    signs = [(value, label, 1 if (value + label) % 2 else -1) for value in range(values)
             for label in (0, 1)]  # fmt: skip
    return [(value, label, half + sign * step) for value, label, sign in signs], 2 * half


def _together(slides: list[str]) -> Callable[[SlideCells, random.Random], SlideCells]:
    """Return an order of slides that both classes share: none then trains and tests."""

    def arrange(cells: SlideCells, rng: random.Random) -> SlideCells:
        names = sorted(set(slides))
        rng.shuffle(names)
        place = {name: n for n, name in enumerate(names)}
        return [[sorted(of, key=lambda rows: place[slides[rows[0]]]) for of in by_class]
                for by_class in cells]  # fmt: skip

    return arrange
