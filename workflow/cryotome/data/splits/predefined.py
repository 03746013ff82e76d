"""Predefined splits: one dataset trains, another tests."""

from pathlib import Path

import numpy as np
import pandas as pd

from cryotome.core.cards import Card
from cryotome.core.errors import CardError
from cryotome.core.qualified_names import qualify

Sets = dict[str, Path]  # dataset to file, the training set first


def class_names(cards: dict[str, Card]) -> list[str]:
    """Return the names of the classes that two datasets share, in label order.

    Raises
    ------
    CardError
        The two datasets do not have the same classes in the same order.
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


def assign_roles(cells: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Return the role of every cell of two datasets, of which the first trains.

    Returns
    -------
    data frame with columns id, role
    """
    (train, learns), (test, tests) = cells.items()
    ids = qualify(train, learns["id"]), qualify(test, tests["id"])
    roles = np.repeat(["train", "test"], [len(learns), len(tests)])
    return pd.DataFrame({"id": np.concatenate(ids), "role": roles})
