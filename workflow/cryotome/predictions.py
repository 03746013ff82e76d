"""The one product of every learner: a table of scores, and where it came from."""

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cryotome.errors import StoreError
from cryotome.paths import sha256, written_whole

SCORED = ["validation", "test", "external"]


def read_predictions(path: Path) -> pd.DataFrame:
    """Read `id,role,label,score`.

    Raises
    ------
    StoreError
        The file has other columns, or a score that is no number.
    """
    table = pd.read_csv(path)
    if list(table.columns) != ["id", "role", "label", "score"]:
        raise StoreError(f"{path} has the columns {list(table.columns)}. Delete it and rerun.")
    wrong = ~np.isfinite(table["score"])
    if wrong.any():
        raise StoreError(
            f"{path} has no finite score for {wrong.sum()} cells, first "
            f"{table['id'][wrong].iloc[0]}. Delete it and rerun."
        )
    return table


def write_predictions(
    path: Path,
    roles: pd.DataFrame,
    labels: np.ndarray,
    scores: np.ndarray,
    *,
    split: Path,
    notes: dict[str, Any],
) -> None:
    """Write `id,role,label,score` and, beside it, the metadata as JSON.

    Parameters
    ----------
    roles
        Columns id, role; the scored cells, in the order of `labels` and `scores` (n,).
    notes
        Hashes of the store and the weights, the recipe, the cost in seconds.
    """
    drawn = json.loads(split.with_suffix(".json").read_text())["drawn"]
    about = {"split_sha256": sha256(split), "split_drawn": drawn, **notes}
    about["versions"] = {
        name: version(name) for name in ("numpy", "scipy", "scikit-learn", "torch")
    }
    with written_whole(path.with_suffix(".json")) as beside:
        beside.write_text(json.dumps(about, indent=1, sort_keys=True) + "\n")
    table = roles.assign(label=labels, score=scores)
    with written_whole(path) as beside:
        table.to_csv(beside, index=False, float_format="%.17g")
