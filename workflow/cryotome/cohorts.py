"""Tables of patients and slides, as the field writes them, become one labelled cohort."""

import json
import re
import warnings
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import numpy as np
import pandas as pd

from cryotome.cards import Card
from cryotome.cell_tables import read_csv, spell_columns
from cryotome.errors import CardError, DataError
from cryotome.file_kinds import begins
from cryotome.identity import across
from cryotome.images import what_is_odd
from cryotome.slide_names import label_of, same_spelling, slide_of, text_of, why_no_wildcard

NOBODY = "no patient is known: not in the slide table, or not matched by `patient:`"

UNPACKED, MOST_CELLS = 100_000_000, 5_000_000  # bytes of an XLSX, cells of a sheet
# where a row or a cell of a sheet lies, as its XML says it
PLACE = re.compile(rb"""\br\s*=\s*["']([A-Z]{0,3})(\d{1,9})["']""")


@dataclass(frozen=True)
class Cohort:
    """Who is classified, on which slides, and who is not.

    Attributes
    ----------
    patients : data frame PATIENT, TARGET
        Labelled patients with slides, sorted; TARGET is 1 for a positive label.
    slides : data frame FILENAME, PATIENT
        Their slides without suffix, sorted by patient.
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
    return table.assign(PATIENT=across(dataset, table["PATIENT"]))


def load_slides(path: Path, dataset: str) -> pd.DataFrame:
    """Read FILENAME, PATIENT as `read_cohort` wrote them; both are named `dataset:name`."""
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    return table.apply(lambda column: across(dataset, column))


def _check_reach(path: Path) -> None:
    """Refuse an XLSX that fills a memory: one cell far out makes all before it.

    Raises
    ------
    DataError
        It unpacks to too much, or a sheet reaches too far.
    """
    with ZipFile(path) as book:
        size = sum(entry.file_size for entry in book.infolist())
        if size > UNPACKED:
            raise DataError(
                f"{path} unpacks to {size:,} bytes, and at most {UNPACKED:,} are read. Save the "
                "columns that the card names as CSV."
            )
        for entry in book.infolist():
            if not entry.filename.startswith("xl/worksheets/") or entry.is_dir():
                continue
            rows, named = 1, {b"A"}
            for place in PLACE.finditer(book.read(entry)):
                rows = max(rows, int(place[2]))
                named.add(place[1])
            columns = max(reduce(lambda n, c: 26 * n + c - 64, letters, 0) for letters in named)
            if rows * columns > MOST_CELLS:
                raise DataError(
                    f"{path}, {entry.filename}: its cells reach to row {rows:,} and column "
                    f"{columns:,}, and at most {MOST_CELLS:,} cells are read. Delete what stands "
                    "far from the table, or save it as CSV."
                )


def _read_xlsx(path: Path, sheet: str | None) -> pd.DataFrame:
    try:
        _check_reach(path)
        with warnings.catch_warnings(), pd.ExcelFile(path, engine="openpyxl") as book:
            warnings.simplefilter("ignore", UserWarning)  # styles that openpyxl does not read
            if sheet is not None and sheet not in book.sheet_names:
                raise DataError(
                    f"{path} has no sheet {sheet!r}; it has {book.sheet_names}. Correct `sheet:` "
                    "in the dataset's card."
                )
            table = pd.read_excel(
                book, sheet_name=sheet or 0, dtype=object, keep_default_na=False, na_values=[""]
            )
    except (BadZipFile, ValueError, KeyError, SyntaxError) as error:  # SyntaxError: of its XML
        raise DataError(
            f"{path} is no XLSX ({error}); it begins with {begins(path)}. Save it as XLSX or CSV."
        ) from error
    table.columns = spell_columns(table, path)
    table.index += 2  # the header is row 1
    return table


def read_table(path: Path, needed: list[str], *, sheet: str | None = None) -> pd.DataFrame:
    """Read these columns of a CSV or an XLSX as text, indexed by the line in the file.

    Names of columns are in NFC.

    Raises
    ------
    DataError
        The file is neither, or lacks the sheet or a column.
    """
    needed = list(dict.fromkeys(map(same_spelling, needed)))
    match path.suffix.lower():
        case ".csv":
            table = read_csv(path, needed, text=True)
        case ".xlsx":
            table = _read_xlsx(path, sheet)
        case suffix:
            raise DataError(f"{path} ends in {suffix!r}. Save the table as CSV or XLSX.")
    lacking = [name for name in needed if name not in table]
    if lacking:
        said = ", ".join(map(repr, list(table.columns)[:12]))
        raise DataError(
            f"{path} lacks the columns {lacking}; it begins with {said}. Correct `labels:` or "
            "`slide_table:` in the dataset's card."
        )
    table = table[needed].map(text_of)
    return table[(table != "").any(axis=1)]


def _check_names(table: pd.DataFrame, path: Path | None) -> None:
    for column in table:
        refuse = why_no_wildcard if column == "FILENAME" else what_is_odd
        for line, name in table[column].items():
            odd = refuse(name) if name else ""
            if odd:
                where = f"{path}, line {line}" if path else "file names"
                raise DataError(
                    f"{where}: the {column} {name!r:.300} cannot be used: {odd}. Rename it."
                )


def read_labels(path: Path, card: Card) -> pd.DataFrame:
    """Read the patients of a table and their labels.

    Parameters
    ----------
    card
        `labels` of the dataset's card: columns, the rows that count, positive and negative.

    Returns
    -------
    data frame PATIENT, TARGET, label
        One row a patient, sorted. TARGET is 1.0, 0.0, or NaN where a patient has no label;
        `label` is what the file says.

    Raises
    ------
    DataError
        A label that the card does not know, a patient with two, or no patient at all.
    """
    column, target = same_spelling(card["patient"]), same_spelling(card["target"])
    where = {same_spelling(name): values for name, values in card.get("where", {}).items()}
    rows = read_table(path, [column, target, *where], sheet=card.get("sheet"))
    for name, wanted in where.items():
        values = [label_of(value) for value in wanted]
        kept = rows[rows[name].map(label_of).isin(values)]
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
    _check_names(table[["PATIENT"]], path)
    means = _targets(table["label"], card, path)
    table["TARGET"] = table["label"].map(label_of).map(means).astype(float)
    return _one_row_each(table, path)


def _targets(labels: pd.Series, card: Card, path: Path) -> dict[str, float]:
    """Return what each label means: 1, 0, or NaN for none."""
    known = {"": float("nan")}
    for key, target in (("ignore", known[""]), ("positive", 1.0), ("negative", 0.0)):
        for value in map(label_of, card.get(key, [])):
            if known.setdefault(value, target) is not target:
                raise CardError(
                    f"`labels:` for {path} give one label two meanings, {value!r} as {key!r} and "
                    "as another. Correct the card."
                )
    odd = labels[~labels.map(label_of).isin(list(known))]
    if len(odd):
        raise DataError(
            f"{path}, line {odd.index[0]} has the label {odd.iloc[0]!r} ({len(odd)} labels that "
            f"the card does not know); it knows {list(known)[1:]}. Put {json.dumps(odd.iloc[0])}, "
            "with its quotes, under `positive:`, `negative:` or `ignore:` of `labels:` in the "
            "dataset's card."
        )
    return known


def _one_row_each(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Keep one row a patient, a labelled one where there is any."""
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


def check_counts(labels: pd.DataFrame, expect: Card, path: Path) -> None:
    """Stop a wrong reading of a table of labels.

    Raises
    ------
    DataError
        Labelled or positive patients are not as many as the card expects.
    """
    found = {"labelled": int(labels["TARGET"].notna().sum()),
             "positive": int((labels["TARGET"] == 1).sum())}  # fmt: skip
    if found != expect:
        raise DataError(
            f"{path} has {found['labelled']} labelled patients, {found['positive']} of them "
            f"positive, where its card expects {expect['labelled']} and {expect['positive']}. It "
            "is another file, or `labels:` read it wrongly; else correct `expect:` in the card."
        )


def read_slide_table(path: Path) -> pd.DataFrame:
    """Read the columns FILENAME, as the table writes it, and PATIENT of a CSV or XLSX.

    Raises
    ------
    DataError
        A slide stands twice, has no name or one that cannot stand in the paths of results.
    """
    table = read_table(path, ["FILENAME", "PATIENT"])
    names = table["FILENAME"].map(slide_of)
    twice = table[names.duplicated() | (names == "")]
    if len(twice):
        raise DataError(
            f"{path}, line {twice.index[0]}: the slide {twice['FILENAME'].iloc[0]!r} stands "
            f"there a second time or has no name ({len(twice)} such lines). Remove the line."
        )
    _check_names(table.assign(FILENAME=names), path)
    return table


def read_slides(
    slides: list[str], *, table: Path | None = None, pattern: str | None = None
) -> pd.DataFrame:
    """Say of whom each slide is.

    Parameters
    ----------
    slides
        Names of the slides at hand, with or without suffix.
    table
        CSV or XLSX with the columns FILENAME, PATIENT; what it names counts as a slide, too.
    pattern
        Where there is no table: a regular expression whose first group is the patient.

    Returns
    -------
    data frame FILENAME, PATIENT
        Without suffix; PATIENT is empty where nobody knows.

    Raises
    ------
    CardError
        The pattern is no regular expression with a group.
    DataError
        A slide stands twice in the table.
    """
    at_hand = [slide_of(name) for name in slides]
    if table is None:
        found = pd.DataFrame({"FILENAME": at_hand}, dtype=str)
        found["PATIENT"] = [_matched(pattern or "", name) for name in at_hand]
    else:
        found = read_slide_table(table)
        found["FILENAME"] = found["FILENAME"].map(slide_of)
        known = set(found["FILENAME"])
        other = [name for name in at_hand if name not in known]
        found = pd.concat([found, pd.DataFrame({"FILENAME": other, "PATIENT": ""}, dtype=str)])
    _check_names(found, None)
    return found.sort_values(["PATIENT", "FILENAME"], ignore_index=True)


def _matched(pattern: str, name: str) -> str:
    try:
        found = re.search(same_spelling(pattern), name)
        return str(found[1] or "") if found else ""
    except (re.error, IndexError) as error:
        raise CardError(
            f"`patient:` of the dataset's card, {pattern!r}, is no regular expression with a group "
            f"in parentheses ({error}). The group is the patient."
        ) from error


def join_cohort(labels: pd.DataFrame, slides: pd.DataFrame, name: str) -> Cohort:
    """Keep labelled patients who have slides, and list all others with the reason.

    Raises
    ------
    DataError
        None is left of a class, as where names of patients differ between the tables.
    """
    labelled = labels.dropna(subset="TARGET").set_index("PATIENT")["TARGET"].astype(int)
    of, patient = slides["PATIENT"], labels["PATIENT"]
    slides = slides.assign(
        reason=np.select(
            [of == "", ~of.isin(patient), ~of.isin(labelled.index)],
            [NOBODY, "its patient is in no table of labels", "no label"],
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
            f"{next(iter(slides['PATIENT']), None)!r}, no two with different labels meet. Bring "
            "the slides, or correct how `slide_table:` or `patient:` name patients."
        )
    out = pd.concat([people, slides[["PATIENT", "FILENAME", "reason"]]])
    out = out[out["reason"] != ""].sort_values(["PATIENT", "FILENAME"], ignore_index=True)
    used = slides.loc[slides["reason"] == "", ["FILENAME", "PATIENT"]]
    return Cohort(patients.reset_index(drop=True), used.reset_index(drop=True), out)
