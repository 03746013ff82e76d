"""Predictions, the output of every learner: a table of scores with its provenance."""

import hashlib
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cryotome.core import step_versions
from cryotome.core.errors import StoreError, raise_system_error
from cryotome.core.files import RunPath, atomic_write, save_json, sha256
from cryotome.core.tables import read_csv

SCORED_ROLES = ["validation", "test", "external"]


def split_path(path: Path) -> Path:
    """Return the path of the split of a file of predictions.

    >>> split_path(Path("r/predictions/d/random/view=v/model=m/head=h/fraction=0.1/fold=3.csv"))
    PosixPath('r/splits/d/random/fraction=0.1/fold=3.csv')
    """
    run = RunPath.of(path)
    return path.parents[7] / "splits" / run.dataset / run.scheme / path.parent.name / path.name


def _provenance(path: Path) -> dict[str, Any]:
    """Read the provenance of a file of predictions and check that it belongs to the file."""
    json_path = path.with_suffix(".json")
    try:
        about = json.loads(json_path.read_text(encoding="utf-8"))
        run = RunPath.of(path)
        keys = {"model": run.model, "view": run.view}
        odd = [name for name, value in keys.items() if about.get(name, value) != value]
        odd += ["content"] if about["csv_sha256"] != sha256(path) else []
        split, drawn_from = split_path(path), about["split_sha256"]
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        if json_path.exists():
            raise_system_error(error, json_path)
        raise StoreError(
            f"Provenance file {json_path.name} of {path} is unreadable ({type(error).__name__}: "
            f"{error}). Delete {path.name} and rerun."
        ) from error
    if odd:
        raise StoreError(
            f"{path} does not match {json_path.name}: it has another {', '.join(odd)}. It was "
            "edited, or belongs to another folder. Delete it and rerun."
        )
    # Snakemake cannot detect a changed step version once a rule has other outputs
    versions = {"mil_recipe": step_versions.MIL}
    versions |= {"recipe": step_versions.ENDTOEND} if run.view == "patches" else {}
    for name, current in versions.items():
        if about.get(name, current) != current:
            raise StoreError(
                f"{path} is of version {about[name]} of the training, which is now {current}. "
                "Delete it and rerun."
            )
    if split.exists() and sha256(split) != drawn_from:
        raise StoreError(f"{path} was made from another split than {split}. Delete it and rerun.")
    return about


def score_columns(classes: list[str] | None) -> list[str]:
    """Return the score columns: one of the second class, or one of each named class.

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
        Hash of the table of cells of its ids, or of those of training and test; not checked if
        missing.
    classes
        Names of all classes in label order, if every class has a score.
    text_ids
        Whether ids are text, such as a patient 007.

    Raises
    ------
    StoreError
        The file has other columns, or a score that is not finite; it was edited, or belongs to
        another folder, split or table of cells.
    """
    about = _provenance(path)
    if cells_sha256 and about.get("cells_sha256") != cells_sha256:
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
        raise StoreError(f"{path} is not a table ({error}). Delete it and rerun.") from error
    if list(table.columns) != ["id", "role", "label", *columns]:
        raise StoreError(f"{path} has the columns {list(table.columns)}. Delete it and rerun.")
    wrong = ~np.isfinite(table[columns].to_numpy()).all(axis=1)
    if wrong.any():
        raise StoreError(
            f"{path} has no finite score for {wrong.sum()} cells, first "
            f"{table['id'][wrong].iloc[0]}. Delete it and rerun."
        )
    return table


def read_applied(path: Path, *, cells_sha256: str) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Read `id,label,score` of another dataset's cells by a kept model, and its provenance.

    Parameters
    ----------
    cells_sha256
        Hash of the table of these cells.

    Raises
    ------
    StoreError
        The file was edited, or is of other cells.
    """
    about = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    if (about["csv_sha256"], about["cells_sha256"]) != (sha256(path), cells_sha256):
        raise StoreError(f"{path} was edited, or scores other cells. Delete it and rerun.")
    return read_csv(path), about


def write_applied_scores(path: Path, table: pd.DataFrame, notes: dict[str, Any]) -> None:
    """Write what `read_applied` reads: a table `id,label,score`, and its provenance beside it."""
    text = table.to_csv(index=False, float_format="%.17g").encode()
    about = notes | {"csv_sha256": hashlib.sha256(text).hexdigest()}
    save_json(about, path.with_suffix(".json"), sort_keys=True)
    with atomic_write(path) as beside:
        beside.write_bytes(text)


def write_predictions(
    path: Path,
    cells: pd.DataFrame,
    scores: np.ndarray,
    *,
    split: Path,
    notes: dict[str, Any],
    classes: list[str] | None = None,
) -> None:
    """Write `id,role,label,score`, or a score of each class, and its provenance as JSON beside it.

    Parameters
    ----------
    cells
        Columns id, role, label; the scored cells, in the order of `scores`.
    scores : (n,), or (n, K) with `classes`; of two classes that of the second will do
    notes
        Hashes of the store and the weights, the step version, the cost in seconds.
    classes
        Names of the K classes in label order.
    """
    drawn = json.loads(split.with_suffix(".json").read_text(encoding="utf-8"))["drawn"]
    about = {"split_sha256": sha256(split), "split_drawn": drawn, **notes}
    about["versions"] = {
        name: version(name) for name in ("numpy", "scipy", "scikit-learn", "torch")
    }
    columns, values = score_columns(classes), scores.reshape(len(cells), -1)
    if (len(columns), values.shape[1]) == (2, 1):
        values = np.hstack([1 - values, values])
    named = dict(zip(columns, values.T, strict=True))
    text = cells.assign(**named).to_csv(index=False, float_format="%.17g").encode()
    about["csv_sha256"] = hashlib.sha256(text).hexdigest()
    with atomic_write(path.with_suffix(".json")) as partial:
        partial.write_text(json.dumps(about, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    with atomic_write(path) as partial:
        partial.write_bytes(text)
