"""What predictions of several classes are worth, with intervals over patches.

A file of predictions counts through its table of true against called class alone. To draw its
patches again within each class is to draw each line of that table from a multinomial, so
10,000 patches cost no more than 100. Where sources of patches are not known, as those of
CRC-VAL-HE-7K, they count as independent, and intervals are too narrow: `INDEPENDENCE_NOTE`.
"""

import numpy as np
import pandas as pd

from cryotome.core.cards import Card
from cryotome.core.errors import CardError
from cryotome.evaluation.statistics.fold_tests import quantiles

DRAWS = 2000
SEED = 0
INDEPENDENCE_NOTE = (
    "patches count as independent, for their patients are not named: intervals are too narrow"
)


def class_names(cards: dict[str, Card]) -> list[str]:
    """Return the names of the classes that two datasets share, in label order.

    Raises
    ------
    CardError
        They do not have the same classes in the same order.
    """
    (train, learns), (test, tests) = (
        (dataset, [entry["name"] for entry in card["classes"]]) for dataset, card in cards.items()
    )
    if learns != tests:
        raise CardError(
            f"Dataset {test!r} has the classes {tests}, and {train!r}, on which heads are "
            f"fitted, {learns}. Name the same classes in the same order in both cards."
        )
    return learns


def argmax_classes(table: pd.DataFrame) -> np.ndarray:
    """Return the class of the highest score, (n,) int; of equal scores the first class.

    Parameters
    ----------
    table
        Columns `score_{class}` in label order.
    """
    return table.filter(regex="^score_").to_numpy().argmax(axis=1)


def confusion(label: np.ndarray, called: np.ndarray, classes: int) -> np.ndarray:
    """Count patches by true class (lines) and called class (columns), (K, K) int.

    >>> confusion(np.array([0, 1, 1]), np.array([0, 0, 1]), 2).tolist()
    [[1, 0], [1, 1]]
    """
    return np.bincount(label * classes + called, minlength=classes**2).reshape(classes, classes)


def metrics(counts: np.ndarray) -> dict[str, np.ndarray]:
    """Compute accuracy, balanced accuracy and weighted F1, as scikit-learn defines them.

    Parameters
    ----------
    counts : (..., K, K)
        Patches by true and called class; one table, or many at once.

    Returns
    -------
    name to (...); balanced accuracy is over the classes that have patches
    """
    right, true, called = np.einsum("...kk->...k", counts), counts.sum(-1), counts.sum(-2)
    both = true + called
    f1 = np.divide(2 * right, both, out=np.zeros(both.shape), where=both > 0)
    total = counts.sum((-1, -2))
    return {
        "balanced_accuracy": np.nanmean(class_recalls(counts), axis=-1),
        "weighted_f1": (f1 * true).sum(-1) / total,
        "accuracy": right.sum(-1) / total,
    }


def class_recalls(counts: np.ndarray) -> np.ndarray:
    """Return the share of each true class that is called so, (..., K); NaN of none."""
    right, true = np.einsum("...kk->...k", counts), counts.sum(-1)
    return np.divide(right, true, out=np.full(true.shape, np.nan), where=true > 0)


def _drawn(counts: np.ndarray) -> np.ndarray:
    """Draw the patches of each true class again, with replacement: (DRAWS, K, cells of a line)."""
    rng, sizes = np.random.default_rng(SEED), counts.sum(1)
    shares = counts / np.maximum(sizes, 1)[:, None]
    shares[sizes == 0, 0] = 1  # of no patches any draw is none
    lines = [rng.multinomial(n, p, size=DRAWS) for n, p in zip(sizes, shares, strict=True)]
    return np.stack(lines, axis=1)


def measure_predictions(table: pd.DataFrame, classes: list[str]) -> pd.DataFrame:
    """Measure one file of predictions, with 95 % intervals by bootstrap.

    Patches are drawn again within their true class, 2,000 times, from one seed. Where
    nothing is wrong every draw is equal and the interval has no width.

    Parameters
    ----------
    table
        Columns label and `score_{class}`; test patches only.
    classes
        Names in label order.

    Returns
    -------
    data frame with columns metric, n, value, low, high
        balanced_accuracy, weighted_f1, accuracy, and `recall_{class}` of each class; n is
        the patches that each is of.
    """
    label = table["label"].to_numpy()
    counts = confusion(label, argmax_classes(table), len(classes))
    draws = _drawn(counts)
    many, sizes = metrics(draws), counts.sum(1)
    rows = [(name, len(label), v, *quantiles(many[name])) for name, v in metrics(counts).items()]
    each = class_recalls(draws)
    for place, (name, share) in enumerate(zip(classes, class_recalls(counts), strict=True)):
        interval = quantiles(each[:, place]) if sizes[place] else (np.nan, np.nan)
        rows.append((f"recall_{name}", int(sizes[place]), share, *interval))
    return pd.DataFrame(rows, columns=["metric", "n", "value", "low", "high"])


def difference(first: pd.DataFrame, second: pd.DataFrame, classes: list[str]) -> pd.DataFrame:
    """Measure by how much the first predictions surpass the second on the same patches.

    Parameters
    ----------
    first, second
        As `measure_predictions` takes them, with the column id.

    Returns
    -------
    data frame with columns metric, n, value, low, high
        Of balanced_accuracy, weighted_f1, accuracy. Each draw takes the same patches for
        both, so that what both find hard does not widen the interval.

    Raises
    ------
    ValueError
        They are not of the same patches with the same labels.
    """
    pair = first.merge(second, on=["id", "label"], suffixes=("", "_other"))
    if not len(pair) == len(first) == len(second):
        raise ValueError("The two files of predictions are of different patches, or labels.")
    size, label = len(classes), pair["label"].to_numpy()
    one, other = (argmax_classes(t.set_index("id").loc[pair["id"]]) for t in (first, second))
    # lines: true class; columns: what the first calls, then what the second calls
    joint = np.bincount((label * size + one) * size + other, minlength=size**3)
    joint = joint.reshape(size, size**2)
    value, draws = _gap(joint, size), _gap(_drawn(joint), size)
    rows = [(name, len(pair), v, *quantiles(draws[name])) for name, v in value.items()]
    return pd.DataFrame(rows, columns=["metric", "n", "value", "low", "high"])


def _gap(joint: np.ndarray, size: int) -> dict[str, np.ndarray]:
    """Return the gaps of tables (..., K, K * K) of true class and both called classes."""
    both = joint.reshape(*joint.shape[:-1], size, size)
    one, other = metrics(both.sum(-1)), metrics(both.sum(-2))
    return {name: one[name] - other[name] for name in one}
