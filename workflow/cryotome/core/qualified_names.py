"""Names that are unique across datasets: every hospital has a slide 001 and a patient P1."""

from collections.abc import Iterable

import numpy as np


def qualify(dataset: str, names: Iterable[object]) -> np.ndarray:
    """Return names of cells, slides or patients, each with its dataset.

    >>> qualify("nct_crc_100k", [0, 12]).tolist()
    ['nct_crc_100k:0', 'nct_crc_100k:12']
    """
    return np.array([f"{dataset}:{name}" for name in names], dtype=object)


def split_qualified(name: str) -> tuple[str, str]:
    """Return the dataset of a qualified name, or nothing, and the name within it.

    >>> split_qualified("ca:P:1")  # a dataset's name holds no colon
    ('ca', 'P:1')
    """
    dataset, colon, own = name.partition(":")
    return (dataset, own) if colon else ("", name)
