"""Cohorts of labelled patients and their slides, joined from the field's tables."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cryotome.core.cards import Card
from cryotome.core.errors import CardError, DataError
from cryotome.core.qualified_names import qualify
from cryotome.data.cohort_tables import check_names, read_text_columns
from cryotome.data.names import canonical_label, slide_name, to_nfc

UNKNOWN_PATIENT = "no patient is known: not in the slide table, or not matched by `patient:`"


@dataclass(frozen=True)
class Cohort:
    """Patients to classify, their slides, and who is excluded.

    Attributes
    ----------
    patients : data frame PATIENT, TARGET
        Labelled patients with slides, sorted; TARGET is 1 for a positive label.
    slides : data frame FILENAME, PATIENT
        Their slides, named without suffix, sorted by patient.
    excluded : data frame PATIENT, FILENAME, reason
        Every other patient and slide.
    """

    patients: pd.DataFrame
    slides: pd.DataFrame
    excluded: pd.DataFrame

    @property
    def tables(self) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
        return self.patients, self.slides, self.excluded


def load_patients(path: Path, dataset: str) -> pd.DataFrame:
    """Read PATIENT, TARGET as `read_cohort` wrote them; patients are named `dataset:patient`."""
    table = pd.read_csv(path, dtype={"PATIENT": str}, keep_default_na=False)
    return table.assign(PATIENT=qualify(dataset, table["PATIENT"]))


def load_slides(path: Path, dataset: str) -> pd.DataFrame:
    """Read FILENAME, PATIENT as `read_cohort` wrote them; both are named `dataset:name`."""
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    return table.apply(lambda column: qualify(dataset, column))


def read_labels(path: Path, card: Card) -> pd.DataFrame:
    """Read the patients of a table and their labels.

    Parameters
    ----------
    card
        `labels` of the dataset's card: columns, rows to use, positive and negative labels.

    Returns
    -------
    data frame PATIENT, TARGET, label
        One row a patient, sorted. TARGET is 1.0, 0.0, or NaN where a patient has no label;
        `label` is the text in the file.

    Raises
    ------
    DataError
        A label is not in the card, a patient has two labels or no name, or no row is left.
    """
    column, target = to_nfc(card["patient"]), to_nfc(card["target"])
    where = {to_nfc(name): values for name, values in card.get("where", {}).items()}
    rows = read_text_columns(path, [column, target, *where], sheet=card.get("sheet"))
    for name, wanted in where.items():
        values = [canonical_label(value) for value in wanted]
        kept = rows[rows[name].map(canonical_label).isin(values)]
        if kept.empty:
            raise DataError(
                f"{path} has no row whose {name!r} is {' or '.join(map(repr, values))}; there is "
                f"{sorted(set(rows[name]))[:12]}. Correct `labels: {{where: …}}` in the card; "
                "put text such as 01 in quotes there."
            )
        rows = kept
    table = pd.DataFrame({"PATIENT": rows[column], "label": rows[target]})
    nobody = table[table["PATIENT"] == ""]
    if len(nobody):
        raise DataError(
            f"{path}, line {nobody.index[0]} names no patient in column {column!r} ({len(nobody)} "
            "such lines). Complete or remove it."
        )
    check_names(table[["PATIENT"]], path)
    means = _targets(table["label"], card, path)
    table["TARGET"] = table["label"].map(canonical_label).map(means).astype(float)
    return _one_row_per_patient(table, path)


def _targets(labels: pd.Series, card: Card, path: Path) -> dict[str, float]:
    """Return the target of each label: 1, 0, or NaN for none."""
    known = {"": float("nan")}
    for key, target in (("ignore", known[""]), ("positive", 1.0), ("negative", 0.0)):
        for value in map(canonical_label, card.get(key, [])):
            if known.setdefault(value, target) is not target:
                raise CardError(
                    f"`labels:` for {path} give one label two meanings, {value!r} as {key!r} and "
                    "as another. Correct the card."
                )
    odd = labels[~labels.map(canonical_label).isin(list(known))]
    if len(odd):
        raise DataError(
            f"{path}, line {odd.index[0]} has the label {odd.iloc[0]!r} ({len(odd)} labels that "
            f"the card does not know); it knows {list(known)[1:]}. Put {json.dumps(odd.iloc[0])}, "
            "with its quotes, under `positive:`, `negative:` or `ignore:` of `labels:` in the "
            "dataset's card."
        )
    return known


def _one_row_per_patient(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Keep one row per patient, a labelled one if there is one."""
    said = table.dropna(subset="TARGET")
    two = said.groupby("PATIENT")["TARGET"].nunique().gt(1)
    if two.any():
        lines = said[said["PATIENT"] == two.idxmax()]
        raise DataError(
            f"{path}: patient {two.idxmax()!r} has two labels, {lines['label'].tolist()} in lines "
            f"{lines.index.tolist()} ({int(two.sum())} such patients). Keep the right one."
        )
    table = table.sort_values(["PATIENT", "TARGET"], kind="stable")  # NaN comes last
    return table.drop_duplicates("PATIENT").reset_index(drop=True)[["PATIENT", "TARGET", "label"]]


def check_patient_counts(labels: pd.DataFrame, expect: Card, path: Path) -> None:
    """Check the numbers of labelled and positive patients against the card.

    Raises
    ------
    DataError
        They differ.
    """
    found = {"labelled": int(labels["TARGET"].notna().sum()),
             "positive": int((labels["TARGET"] == 1).sum())}  # fmt: skip
    if found != expect:
        raise DataError(
            f"{path} has {found['labelled']} labelled patients, {found['positive']} of them "
            f"positive; its card expects {expect['labelled']} and {expect['positive']}. Check the "
            "file and `labels:` of the card; if both are right, correct `expect:`."
        )


def read_slide_table(path: Path) -> pd.DataFrame:
    """Read the columns FILENAME, as the table writes it, and PATIENT of a CSV or XLSX.

    Raises
    ------
    DataError
        A slide is listed twice, has no name, or one that cannot be part of a result path.
    """
    table = read_text_columns(path, ["FILENAME", "PATIENT"])
    names = table["FILENAME"].map(slide_name)
    twice = table[names.duplicated() | (names == "")]
    if len(twice):
        raise DataError(
            f"{path}, line {twice.index[0]}: the slide {twice['FILENAME'].iloc[0]!r} is listed "
            f"a second time or has no name ({len(twice)} such lines). Remove the line."
        )
    check_names(table.assign(FILENAME=names), path)
    return table


def read_slides(
    slides: list[str], *, table: Path | None = None, pattern: str | None = None
) -> pd.DataFrame:
    """Return the patient of each slide.

    Parameters
    ----------
    slides
        Names of the slides on disk, with or without suffix.
    table
        CSV or XLSX with the columns FILENAME, PATIENT; its slides are returned even if not on
        disk.
    pattern
        Without a table: a regular expression whose first group is the patient.

    Returns
    -------
    data frame FILENAME, PATIENT
        Without suffix; PATIENT is empty if unknown.

    Raises
    ------
    CardError
        The pattern is not a regular expression with a group.
    DataError
        A slide is listed twice in the table.
    """
    at_hand = [slide_name(name) for name in slides]
    if table is None:
        found = pd.DataFrame({"FILENAME": at_hand}, dtype=str)
        found["PATIENT"] = [_patient_in_name(pattern or "", name) for name in at_hand]
    else:
        found = read_slide_table(table)
        found["FILENAME"] = found["FILENAME"].map(slide_name)
        known = set(found["FILENAME"])
        other = [name for name in at_hand if name not in known]
        found = pd.concat([found, pd.DataFrame({"FILENAME": other, "PATIENT": ""}, dtype=str)])
    check_names(found, None)
    return found.sort_values(["PATIENT", "FILENAME"], ignore_index=True)


def _patient_in_name(pattern: str, name: str) -> str:
    try:
        found = re.search(to_nfc(pattern), name)
        return str(found[1] or "") if found else ""
    except (re.error, IndexError) as error:
        raise CardError(
            f"`patient:` of the dataset's card, {pattern!r}, is no regular expression with a group "
            f"in parentheses ({error}). The group is the patient."
        ) from error


def join_cohort(labels: pd.DataFrame, slides: pd.DataFrame, name: str) -> Cohort:
    """Keep labelled patients with slides, and list all others with the reason.

    Raises
    ------
    DataError
        A class has no patient left, for example because the tables name patients differently.
    """
    labelled = labels.dropna(subset="TARGET").set_index("PATIENT")["TARGET"].astype(int)
    of, patient = slides["PATIENT"], labels["PATIENT"]
    slides = slides.assign(
        reason=np.select(
            [of == "", ~of.isin(patient), ~of.isin(labelled.index)],
            [UNKNOWN_PATIENT, "its patient is in no table of labels", "no label"],
            "",
        )
    )
    blank = "no label" + (" (" + labels["label"] + ")").where(labels["label"] != "", "")
    people = pd.DataFrame({"PATIENT": patient, "FILENAME": ""}).assign(
        reason=np.select([labels["TARGET"].isna(), ~patient.isin(of)], [blank, "no slide"], "")
    )
    kept = people.loc[people["reason"] == "", "PATIENT"]
    patients = pd.DataFrame({"PATIENT": kept, "TARGET": labelled[kept].to_numpy()})
    if patients["TARGET"].nunique() < 2:
        raise DataError(
            f"Dataset {name!r}: of {len(labelled)} labelled patients, first "
            f"{next(iter(labelled.index), None)!r}, and {len(slides)} slides, first "
            f"{next(iter(slides['FILENAME']), None)!r} of patient "
            f"{next(iter(slides['PATIENT']), None)!r}, one label has no patient with slides. Add "
            "slides, or correct how `slide_table:` or `patient:` name patients."
        )
    out = pd.concat([people, slides[["PATIENT", "FILENAME", "reason"]]])
    out = out[out["reason"] != ""].sort_values(["PATIENT", "FILENAME"], ignore_index=True)
    used = slides.loc[slides["reason"] == "", ["FILENAME", "PATIENT"]]
    return Cohort(patients.reset_index(drop=True), used.reset_index(drop=True), out)
