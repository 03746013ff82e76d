"""The one product of every learner: a table of scores, and where it came from."""

import hashlib
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cryotome.core import step_versions
from cryotome.core.errors import StoreError, raise_system_error
from cryotome.core.files import RunPath, atomic_write, sha256

SCORED = ["validation", "test", "external"]


def split_of(path: Path) -> Path:
    """Return the split that a file of predictions belongs to, by where it lies.

    >>> split_of(Path("r/predictions/d/random/view=v/model=m/head=h/fraction=0.1/fold=3.csv"))
    PosixPath('r/splits/d/random/fraction=0.1/fold=3.csv')
    """
    run = RunPath.of(path)
    return path.parents[7] / "splits" / run.dataset / run.scheme / path.parent.name / path.name


def _notes(path: Path) -> dict[str, Any]:
    """Return what stands beside a file of predictions, once it is sure that it belongs to it."""
    beside = path.with_suffix(".json")
    try:
        said = json.loads(beside.read_text(encoding="utf-8"))
        run = RunPath.of(path)
        keys = {"model": run.model, "view": run.view}
        odd = [name for name, value in keys.items() if said.get(name, value) != value]
        odd += ["content"] if said["csv_sha256"] != sha256(path) else []
        split, drawn_from = split_of(path), said["split_sha256"]
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        if beside.exists():
            raise_system_error(error, beside)
        raise StoreError(
            f"{path} has no notes of its making beside it that could be read ({beside.name}, "
            f"{type(error).__name__}: {error}). Delete it and rerun."
        ) from error
    if odd:
        raise StoreError(
            f"{path} is not what {beside.name} was written with: it has another {', '.join(odd)}. "
            "It was edited, or comes from another place. Delete it and rerun."
        )
    # Snakemake does not see a changed recipe once a rule has other outputs
    now = {"mil_recipe": step_versions.MIL}
    now |= {"recipe": step_versions.ENDTOEND} if run.view == "patches" else {}
    for name, version_now in now.items():
        if said.get(name, version_now) != version_now:
            raise StoreError(
                f"{path} is of version {said[name]} of the training, which is now {version_now}. "
                "Delete it and rerun."
            )
    if split.exists() and sha256(split) != drawn_from:
        raise StoreError(f"{path} was made on another split than {split}. Delete it and rerun.")
    return said


def score_columns(classes: list[str] | None) -> list[str]:
    """Return the columns of scores: one of the second class, or one of each named class.

    >>> score_columns(None), score_columns(["mucus", "debris"])
    (['score'], ['score_mucus', 'score_debris'])
    """
    return ["score"] if classes is None else [f"score_{name}" for name in classes]


def read_predictions(
    path: Path,
    *,
    cells_sha256: str | list[str] | None = None,
    classes: list[str] | None = None,
    text_ids: bool = False,
) -> pd.DataFrame:
    """Read `id,role,label,score`, or a score of each class.

    Parameters
    ----------
    cells_sha256
        Of the table of cells that its ids are of, or of those of training and test, where
        they are at hand.
    classes
        Names of all classes in label order, where every class has its score.
    text_ids
        Whether ids are names, such as a patient 007.

    Raises
    ------
    StoreError
        The file has other columns, or a score that is no number; it was edited, or belongs to
        another place, split or table of cells.
    """
    said = _notes(path)
    if cells_sha256 and said.get("cells_sha256") != cells_sha256:
        raise StoreError(f"{path} was made from other cells. Delete it and rerun.")
    columns = score_columns(classes)
    try:
        table = pd.read_csv(
            path,
            dtype={"id": str} if text_ids else None,
            keep_default_na=False,  # a patient may be called NA
            na_values={column: ["", "nan"] for column in columns},
        )
    except (ValueError, OSError) as error:
        raise_system_error(error, path)
        raise StoreError(f"{path} is no table ({error}). Delete it and rerun.") from error
    if list(table.columns) != ["id", "role", "label", *columns]:
        raise StoreError(f"{path} has the columns {list(table.columns)}. Delete it and rerun.")
    wrong = ~np.isfinite(table[columns].to_numpy()).all(axis=1)
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
    classes: list[str] | None = None,
) -> None:
    """Write `id,role,label,score`, or a score of each class, and beside it the metadata as JSON.

    Parameters
    ----------
    roles
        Columns id, role; the scored cells, in the order of `labels` and `scores`.
    scores : (n,), or (n, K) with `classes`
    notes
        Hashes of the store and the weights, the recipe, the cost in seconds.
    classes
        Names of the K classes in label order.
    """
    drawn = json.loads(split.with_suffix(".json").read_text(encoding="utf-8"))["drawn"]
    about = {"split_sha256": sha256(split), "split_drawn": drawn, **notes}
    about["versions"] = {
        name: version(name) for name in ("numpy", "scipy", "scikit-learn", "torch")
    }
    values = zip(score_columns(classes), scores.reshape(len(roles), -1).T, strict=True)
    table = roles.assign(label=labels, **dict(values))
    text = table.to_csv(index=False, float_format="%.17g").encode()
    about["csv_sha256"] = hashlib.sha256(text).hexdigest()
    with atomic_write(path.with_suffix(".json")) as beside:
        beside.write_text(json.dumps(about, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    with atomic_write(path) as beside:
        beside.write_bytes(text)
