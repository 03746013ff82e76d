"""Metrics of predictions of several classes, with bootstrap intervals over patches.

All metrics depend on the confusion matrix alone. Resampling patches within each class draws
each line of that matrix from a multinomial, so 10,000 patches cost no more than 100. Where
sources of patches are not known, as those of CRC-VAL-HE-7K, patches count as independent, and
intervals are too narrow: `INDEPENDENCE_NOTE`.
"""

import numpy as np
import pandas as pd

from cryotome.evaluation.statistics.fold_tests import quantiles

DRAWS = 2000  # bootstrap samples
SEED = 0
INDEPENDENCE_NOTE = (
    "patches count as independent, for their patients are not named: intervals are too narrow"
)


def argmax_classes(table: pd.DataFrame) -> np.ndarray:
    """Return the class of the highest score, (n,) int; the first class of equal scores.

    Parameters
    ----------
    table
        Columns `score_{class}` in label order.
    """
    return table.filter(regex="^score_").to_numpy().argmax(axis=1)


def confusion(label: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Count patches by true class (lines) and predicted class (columns), (K, K) int.

    >>> confusion(np.array([0, 1, 1]), np.array([0, 0, 1]), 2).tolist()
    [[1, 0], [1, 1]]
    """
    return np.bincount(label * classes + predicted, minlength=classes**2).reshape(classes, -1)


def metrics(counts: np.ndarray) -> dict[str, np.ndarray]:
    """Compute accuracy, balanced accuracy and weighted F1, as scikit-learn defines them.

    Parameters
    ----------
    counts : (..., K, K)
        Patches by true and predicted class; one matrix, or many at once.

    Returns
    -------
    name to (...); balanced accuracy is over the classes that have patches
    """
    right, true, predicted = np.einsum("...kk->...k", counts), counts.sum(-1), counts.sum(-2)
    both = true + predicted
    f1 = np.divide(2 * right, both, out=np.zeros(both.shape), where=both > 0)
    total = counts.sum((-1, -2))
    return {
        "balanced_accuracy": np.nanmean(class_recalls(counts), axis=-1),
        "weighted_f1": (f1 * true).sum(-1) / total,
        "accuracy": right.sum(-1) / total,
    }


def class_recalls(counts: np.ndarray) -> np.ndarray:
    """Return the recall of each class, (..., K); NaN where it has no patch."""
    right, true = np.einsum("...kk->...k", counts), counts.sum(-1)
    return np.divide(right, true, out=np.full(true.shape, np.nan), where=true > 0)


def _resample(counts: np.ndarray) -> np.ndarray:
    """Resample the patches of each true class with replacement: (DRAWS, K, cells of a line)."""
    rng, sizes = np.random.default_rng(SEED), counts.sum(1)
    fractions = counts / np.maximum(sizes, 1)[:, None]
    fractions[sizes == 0, 0] = 1  # zero patches: any probability vector gives zero draws
    lines = [rng.multinomial(n, p, size=DRAWS) for n, p in zip(sizes, fractions, strict=True)]
    return np.stack(lines, axis=1)


def measure_predictions(table: pd.DataFrame, classes: list[str]) -> pd.DataFrame:
    """Score one file of predictions, with 95 % intervals by bootstrap.

    Patches are resampled within their true class, 2,000 times, from one seed. Without a wrong
    prediction every draw is equal and the interval has no width.

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
        the number of patches of the metric.
    """
    label = table["label"].to_numpy()
    counts = confusion(label, argmax_classes(table), len(classes))
    draws = _resample(counts)
    many, sizes = metrics(draws), counts.sum(1)
    rows = [(name, len(label), v, *quantiles(many[name])) for name, v in metrics(counts).items()]
    each = class_recalls(draws)
    for place, (name, recall) in enumerate(zip(classes, class_recalls(counts), strict=True)):
        interval = quantiles(each[:, place]) if sizes[place] else (np.nan, np.nan)
        rows.append((f"recall_{name}", int(sizes[place]), recall, *interval))
    return pd.DataFrame(rows, columns=["metric", "n", "value", "low", "high"])


def difference(first: pd.DataFrame, second: pd.DataFrame, classes: list[str]) -> pd.DataFrame:
    """Measure the gain of the first predictions over the second on the same patches.

    Parameters
    ----------
    first, second
        As `measure_predictions` takes them, with the column id.

    Returns
    -------
    data frame with columns metric, n, value, low, high
        Of balanced_accuracy, weighted_f1, accuracy. Each draw takes the same patches for
        both, so that patches that are hard for both do not widen the interval.

    Raises
    ------
    ValueError
        The two are not of the same patches with the same labels.
    """
    pair = first.merge(second, on=["id", "label"], suffixes=("", "_other"))
    if not len(pair) == len(first) == len(second):
        raise ValueError("The two files of predictions are of different patches, or labels.")
    size, label = len(classes), pair["label"].to_numpy()
    one, other = (argmax_classes(t.set_index("id").loc[pair["id"]]) for t in (first, second))
    # lines: true class; columns: class predicted by the first, then by the second
    joint = np.bincount((label * size + one) * size + other, minlength=size**3)
    joint = joint.reshape(size, size**2)
    value, draws = _gap(joint, size), _gap(_resample(joint), size)
    rows = [(name, len(pair), v, *quantiles(draws[name])) for name, v in value.items()]
    return pd.DataFrame(rows, columns=["metric", "n", "value", "low", "high"])


def _gap(joint: np.ndarray, size: int) -> dict[str, np.ndarray]:
    """Return the differences of matrices (..., K, K * K) of true class and both predictions."""
    both = joint.reshape(*joint.shape[:-1], size, size)
    one, other = metrics(both.sum(-1)), metrics(both.sum(-2))
    return {name: one[name] - other[name] for name in one}
