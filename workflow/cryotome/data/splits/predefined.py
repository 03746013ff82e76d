"""Predefined splits: one dataset trains, another tests."""

from pathlib import Path

import numpy as np
import pandas as pd

from cryotome.core.qualified_names import qualify

Sets = dict[str, Path]  # dataset to file, the training set first


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
