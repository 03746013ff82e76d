"""Class names: the card's classes matched with those of the annotation file."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cryotome.core.errors import DataError
from cryotome.data.names import as_text, canonical_label, to_nfc

# words that negate a name, or name what only resembles the positive class
NEGATIONS = {"not", "no", "non", "without", "false", "negative", "negatives", "hard", "imposter"}
NEGATIONS |= {"imposters", "impostor", "impostors", "lookalike", "lookalikes", "look", "alike"}
NEGATIONS |= {"alikes", "like", "mimic", "mimics", "mimicker", "mimickers", "pseudo", "background"}
NEGATIONS |= {"artifact", "artifacts", "artefact", "artefacts", "nmf", "neg"}
FILLERS = {"cell", "cells", "figure", "figures", "nucleus", "nuclei", "class", "a", "an", "the"}
STEM = 4  # letters: mitotic, mitosis and mitoses are one word

ClassList = Sequence[tuple[object, object]]  # id and name of each class of a file


@dataclass(frozen=True)
class Classes:
    """Labels of an annotation file as text, to class names of the card; and ignored labels."""

    names: dict[str, str]
    ignored: frozenset[str]


def _normalised(name: object) -> str:
    """Return a name without case, spaces, hyphens and the like.

    >>> _normalised("Look-alike") == _normalised("look_alike")
    True
    """
    return re.sub(r"[\W_]+", "", to_nfc(str(name)).casefold())


def _parse_name(name: object) -> tuple[bool, frozenset[str]]:
    """Return whether a name is a negation, and the stems of its other words.

    >>> _parse_name("non-mitotic cell"), _parse_name("Hard negative imposter")
    ((True, frozenset({'mito'})), (True, frozenset()))
    """
    words = re.findall(r"[^\W_]+", to_nfc(str(name)).casefold())
    cut = [word.removeprefix("non") for word in words]
    negated = any(word in NEGATIONS for word in words) or cut != words
    rest = {word[:STEM] for word in cut if word and word not in NEGATIONS | FILLERS}
    return negated, frozenset(rest)


def _contradicts(said: object, name: str, others: list[str], *, positive: bool) -> bool:
    """Return whether a file's class name contradicts the class of the card.

    So do the name of another class, the negation of this class, and a plain name for a class
    that the card names by a negation. `positive`: the class is label 1 of two.
    """
    if _normalised(said) == _normalised(name):
        return False
    if _normalised(said) in map(_normalised, others):
        return True
    (negated, rest), (own_negated, own) = _parse_name(said), _parse_name(name)
    plain = [stems for away, stems in map(_parse_name, others) if not away and stems]
    if negated:
        of_own = rest <= own or own <= rest if rest and own else positive and not rest
        return not own_negated and of_own
    if own_negated:
        return bool(rest) and any(rest <= stems for stems in plain)
    fits = any(rest <= stems or stems <= rest for stems in plain)
    return bool(rest) and fits and not (rest <= own or own <= rest)


def _names_by_id(listed: ClassList, path: Path, where: str) -> dict[str, object]:
    """Return the names by id as text; a duplicate id is an error."""
    names: dict[str, object] = {}
    for id_, name in listed:
        if str(id_) in names:
            raise DataError(f"{path}: {where} lists the id {id_!r} twice. Correct it.")
        names[str(id_)] = name
    return names


def _id_of(is_: object, listed: dict[str, object], path: Path, where: str) -> str:
    """Return the id of a class that the card gives by id or by name."""
    of_name = [
        id_ for id_, name in listed.items() if name and _normalised(name) == _normalised(is_)
    ]
    known = ", ".join(f"{id_} {name!r}" for id_, name in listed.items())
    if len({str(is_), *of_name} & {*listed}) > 1:
        raise DataError(
            f"{path}: `id: {is_}` of the card fits several classes of {where} ({known}). Write the "
            "id of one, or correct the file."
        )
    if str(is_) not in listed and not of_name:
        raise DataError(
            f"{path}: {where} lists no class {is_!r}; it has {known}. Write an id or a name of "
            "these after `id:` in the card's `classes:`."
        )
    return str(is_) if str(is_) in listed else of_name[0]


def _check_name(
    id_: str, place: int, said: dict[str, object], entries: list[Mapping[str, Any]], at: str
) -> None:
    """Check the file's name of a class against the card's class with that label."""
    of_name = [other for other, name in said.items() if _normalised(name) == _normalised(said[id_])]
    if len(of_name) > 1:
        raise DataError(
            f"{at} lists the name {said[id_]!r} twice, for the ids {' and '.join(of_name)}. Give "
            "each class its own name."
        )
    name, others = entries[place]["name"], [e["name"] for e in entries if e is not entries[place]]
    namesakes = [other for other, name_ in said.items() if _normalised(name_) == _normalised(name)]
    positive = len(entries) == 2 and place == 1
    if namesakes not in ([], [id_]) or _contradicts(said[id_], name, others, positive=positive):
        raise DataError(
            f"{at} calls class {id_} {said[id_]!r}, and the dataset's card calls it {name!r}. "
            "Correct `id:` in the card's `classes:` (the id, or the name that the file gives), or "
            "`name:`, or the file."
        )


def match_classes(card: Mapping[str, Any], listed: ClassList, path: Path, where: str) -> Classes:
    """Match the card's classes with those that the annotation file lists.

    Parameters
    ----------
    listed
        Id and name of each class in the file. Empty if the file has no such list: the card's
        ids are then used as they are, and ids that are text are names, too.
    where
        Name of that list or of the labels in the file, for messages.

    Raises
    ------
    DataError
        `id:` names no listed class or several, two classes of the card are the same in the file,
        an id or a name is listed twice, or the file's name contradicts the card's.
    """
    entries, said = card["classes"], _names_by_id(listed, path, where)
    ids = [_id_of(e["id"], said, path, where) if said else as_text(e["id"]) for e in entries]
    texts: dict[str, object] = {e["id"]: e["id"] for e in entries if isinstance(e["id"], str)}
    said = said or texts
    for place, id_ in enumerate(ids):
        if id_ in ids[:place]:
            raise DataError(f"{path}: two `classes:` of the card are class {id_}. Correct `id:`.")
        if said.get(id_):
            _check_name(id_, place, said, entries, f"{path}: {where}")
    known = {_normalised(name): id_ for id_, name in said.items() if name}
    ignore = card.get("reading", {}).get("ignore", [])
    ignored = frozenset(
        {*map(as_text, ignore), *(known.get(_normalised(i), as_text(i)) for i in ignore)}
    )
    both = [id_ for id_ in ids if id_ in ignored]
    if both:
        raise DataError(
            f"{path}: the card names class {both[0]} and ignores it. Do only one of the two."
        )
    names = [entry["name"] for entry in entries]
    return Classes(dict(zip(ids, names, strict=True)), ignored)


def name_labels(labels: pd.Series, classes: Classes, path: Path, unit: str) -> np.ndarray:
    """Return the class names of a file's labels, NaN where the card ignores them.

    1.0 is label 1, as in tables that a spreadsheet or pandas wrote.

    Raises
    ------
    DataError
        A label is neither one of the card's classes nor ignored.
    """
    known = [*classes.names, *classes.ignored]
    spelt = labels.astype(str).map(to_nfc)
    spelt = spelt.where(spelt.isin(known), labels.map(canonical_label))
    odd = labels.astype(str)[~spelt.isin(known)]
    if len(odd):
        raise DataError(
            f"{path}, {unit} {odd.index[0]} has label {odd.iloc[0]!r} ({len(odd)} such labels); "
            f"`classes:` of the card know {list(classes.names)}. Correct it, or leave such cells "
            f"out with `reading: {{ignore: [{json.dumps(odd.iloc[0])}]}}` in the card."
        )
    return spelt.map(classes.names).to_numpy()
