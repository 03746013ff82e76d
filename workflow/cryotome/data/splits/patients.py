"""Splits of patients into training, validation and test; other cohorts are external."""

from collections.abc import Collection

import numpy as np
import pandas as pd

from cryotome.core.cards import Card
from cryotome.core.errors import SplitError
from cryotome.core.qualified_names import split_qualified
from cryotome.data.splits.cells import Split


def _parts(patients: pd.DataFrame, count: int, seed: int) -> list[np.ndarray]:
    """Divide the patients into parts of about equal size and prevalence."""
    from sklearn.model_selection import StratifiedKFold

    drawn = StratifiedKFold(count, shuffle=True, random_state=seed)
    return [test for _, test in drawn.split(patients, patients["TARGET"])]


def _check_classes(patients: pd.DataFrame, count: int, *, what: str) -> None:
    sizes = np.bincount(patients["TARGET"], minlength=2)
    for label, name in enumerate(("negative", "positive")):
        if sizes[label] < count:
            raise SplitError(
                f"{what} has {sizes[label]} {name} patients with a label and a slide, of "
                f"{len(patients)}, and needs {count} of either class. Bring the slides of more "
                "patients: results/cohorts/ lists who is left out, and why."
            )


def draw_patients(
    patients: pd.DataFrame,
    card: Card,
    *,
    fold: int,
    external: pd.DataFrame | None = None,
    separate: Collection[str] = (),
) -> Split:
    """Draw one fold of the patients of a cohort.

    Parameters
    ----------
    patients
        Columns PATIENT (`dataset:patient`), TARGET (0 or 1).
    card
        The scheme's: `test` is the fraction of one part, `seed` draws the parts, the same for
        all folds. With `patients_in_turn` the part before the tested one validates, cyclically
        (HistoBistro, drawing in train_k-fold.py); with `patients` a stratified fraction
        `validation` of the rest, drawn with that seed in every fold (code of the same file).
    fold
        Index of the tested part, from 0.
    external
        The same columns, of other cohorts: every patient gets the role `external`.
    separate
        Datasets among them whose patients are other people even if their names are equal.

    Raises
    ------
    SplitError
        Too few patients of a class, a patient both in the cohort and in an external one, or a
        fold beyond the parts.
    """
    from sklearn.model_selection import train_test_split

    patients, count = patients.sort_values("PATIENT", ignore_index=True), round(1 / card["test"])
    _check_classes(patients, count, what=f"A cohort that is cut into {count} parts")
    if fold >= count:
        raise SplitError(
            f"Patients are cut into {count} parts; `folds:` of the study asks for part {fold + 1}."
        )
    parts = _parts(patients, count, card["seed"])
    test, rest = parts[fold], np.setdiff1d(np.arange(len(patients)), parts[fold])
    if card["split_by"] == "patients_in_turn":
        validation = parts[fold - 1]
    else:
        labels = patients["TARGET"].to_numpy()[rest]
        how = {"test_size": card["validation"], "random_state": card["seed"]}
        validation = train_test_split(rest, stratify=labels, **how)[1]
    roles = np.full(len(patients), "train", dtype=object)
    roles[test], roles[validation] = "test", "validation"
    table = pd.DataFrame({"id": patients["PATIENT"], "role": roles})
    if external is not None:
        table = pd.concat([table, _external_roles(patients, external, separate)])
    return Split(table.sort_values("id", ignore_index=True), "stratified")


def _external_roles(
    patients: pd.DataFrame, external: pd.DataFrame, separate: Collection[str]
) -> pd.DataFrame:
    known = {split_qualified(name)[1] for name in patients["PATIENT"]}
    of = external["PATIENT"].map(split_qualified)
    for dataset in dict.fromkeys(of.str[0]):
        mine = of[of.str[0] == dataset]
        both = sorted({*mine.str[1]} & known)
        if both and dataset not in separate:
            raise SplitError(
                f"{len(both)} patients are in the cohort and in the external one ({dataset}), "
                f"first {both[0]!r}. Take them out of one table of labels; if they are other "
                f"people of the same names, write `separate_patients: true` into the "
                f"card of {dataset}."
            )
        _check_classes(external.loc[mine.index], 1, what=f"An external cohort ({dataset})")
    return pd.DataFrame({"id": external["PATIENT"], "role": "external"})
