"""Published numbers beside those of a study, each with a verdict (decision 021)."""

import re
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from cryotome.core.cards import Card
from cryotome.study.facts import StudyFacts

# counts depend on no cells, splits or weights
COUNTS = ["parameters", "features"]
QUANTITIES = ["auroc", "auroc_in", "auroc_out", "balanced_accuracy", "weighted_f1", *COUNTS]
KEYS = ["dataset", "scheme", "model", "head", "quantity", "fraction"]
COLUMNS = ["study", "table", "dataset", "model", "head", "quantity", "fraction", "published"]
COLUMNS += ["published_sd", "measured", "low", "high", "verdict", "why", "source"]
SCALES = {"": 0, "%": -2, "K": 3, "M": 6, "B": 9}  # powers of ten
# column of a wide file to its quantity and the column of its SD
WIDE = {"in_mean": ("auroc_in", "in_sd"), "out_mean": ("auroc_out", "out_sd")}
WIDE |= {"mean": ("auroc", "sd"), "size": ("parameters", "")}


class PublishedValue(NamedTuple):
    """A number as printed: 93.8% has the value 0.938, half 0.0005 and one decimal."""

    value: Decimal
    half: Decimal  # half a unit of the last printed digit
    decimals: int
    suffix: str


def parse_printed(text: str) -> PublishedValue:
    """Read a number as papers print it: 0.79, 93.8%, 9,501, 632M, 25.6 M.

    Raises
    ------
    ValueError
        The text is not one number with at most one of the suffixes %, K, M and B.

    >>> parse_printed("1.1B").value == 1_100_000_000, parse_printed("1.1B").half == 50_000_000
    (True, True)
    """
    found = re.fullmatch(r"([\d,]+(?:\.(\d+))?) ?([%KMB]?)", text)
    if not found:
        raise ValueError(f"{text!r} is no printed number; write it as in 0.79, 93.8% or 25.6 M.")
    digits, decimals, suffix = found[1].replace(",", ""), len(found[2] or ""), found[3]
    half = Decimal("0.5").scaleb(SCALES[suffix] - decimals)
    return PublishedValue(Decimal(digits).scaleb(SCALES[suffix]), half, decimals, suffix)


def agreement(
    published: str, measured: float, *, low: float, high: float, against: list[str]
) -> tuple[str, str]:
    """Compare one measured number with its published one.

    Parameters
    ----------
    published
        As printed; its last digit gives its precision.
    measured
        NaN where there is none.
    low, high
        The slide-clustered 95 % interval; of a count, the count itself.
    against
        Why the two numbers are not comparable; empty where they are.

    Returns
    -------
    verdict
        `not comparable`, `not measured`, `agrees` (the published number, plus or minus
        half its last digit, meets the interval) or `differs`.
    why
        The reasons, or the signed difference, measured minus published.
    """
    if against:
        return "not comparable", "; ".join(against)
    if pd.isna(measured):
        return "not measured", ""
    if pd.isna(low) or pd.isna(high):
        return "not comparable", "no interval was measured"
    value, half, decimals, suffix = parse_printed(published)
    if Decimal(str(low)) <= value + half and value - half <= Decimal(str(high)):
        return "agrees", "equal as printed" if low == high else "within the 95 % interval"
    difference = (Decimal(str(measured)) - value).scaleb(-SCALES[suffix])
    text = f"{difference:+.{decimals + 1}f}".rstrip("0").rstrip(".")
    return "differs", f"measured minus published: {text}{suffix}"


def read_published(files: list[Path]) -> pd.DataFrame:
    """Read every published number of a model, one a line.

    Parameters
    ----------
    files
        Those of `config/published/`, among them `protocols.csv`: how the numbers of each table
        were made.

    Returns
    -------
    data frame with columns table, dataset, scheme, model, head, quantity, fraction, value, sd,
    status, note, policy, precision, folds, source
        All text as printed, empty where unknown; `table` is the name of the file.
    """
    tables = {path.stem: pd.read_csv(path, dtype=str, keep_default_na=False) for path in files}
    protocols = tables.pop("protocols").drop(columns="source")
    columns = ["table", *KEYS, "value", "sd", "status", "note"]
    parts = [_long(table).assign(table=name) for name, table in sorted(tables.items())]
    numbers = pd.concat(parts, ignore_index=True)
    numbers = numbers.merge(protocols, on="table", how="left").fillna("")
    numbers["status"] = numbers["status"].replace("", "printed")
    return numbers[[*columns, "policy", "precision", "folds", "source"]]


def _long(table: pd.DataFrame) -> pd.DataFrame:
    wide = [column for column in WIDE if column in table]
    if not wide:
        return table
    parts = []
    for column in wide:
        quantity, sd = WIDE[column]
        sds = table[sd] if sd else ""
        parts.append(table.assign(quantity=quantity, value=table[column], sd=sds))
    return pd.concat(parts).sort_index(kind="stable")  # in beside out


def _obstacles(number: dict[Any, Any], facts: StudyFacts) -> list[str]:
    """Return why a published number and this study's are not comparable."""
    why = ["the published number is second-hand"] if number["status"] == "second-hand" else []
    if number["quantity"] in COUNTS:
        return why
    dataset, scheme, model, head = (number[key] for key in KEYS[:4])
    if dataset in facts.synthetic:
        why.append("the tissue is synthetic")
    if model in facts.random:
        why.append("the weights are random")
    views = {row.head: row.view for row in facts.rows if row.model == model}
    if not views:
        return [*why, "the model is no row here"]
    if head not in views:
        why.append(f"the head is {' or '.join(views)} here, {head} there")
    policy, _, precision = views.get(head, "").partition("-")
    if precision:  # heads that read patches have none
        here = {"policy": policy, "precision": precision}
        why += [
            f"the {name} is {value} here, {number[name]} there"
            for name, value in here.items()
            if number[name] not in ("", value)
        ]
    if scheme not in facts.asked_schemes:
        why.append(f"the scheme {scheme} is not run here")
    elif scheme != "from_*" and number["fraction"] not in facts.fractions:
        why.append(f"the fraction {number['fraction']:g} is not run here")
    if number["folds"] and len(facts.folds) < int(number["folds"]):
        why.append(f"the folds are {len(facts.folds)} here, {number['folds']} there")
    return why


def compare_with_published(
    published: pd.DataFrame,
    measured: pd.DataFrame,
    facts: StudyFacts,
    test_sets: Iterable[tuple[str, str]] = (),
) -> pd.DataFrame:
    """Put a verdict beside every published number of a study's datasets and models.

    What is finetuned here is compared with the numbers of the authors' own weights, where those
    are no row of the study themselves.

    Parameters
    ----------
    published
        From `read_published`.
    measured
        Columns dataset, scheme, model, head, quantity, fraction, value, low, high; see
        module `measured`.
    test_sets
        Pairs of dataset and scheme of which every number is listed, whatever its model.

    Returns
    -------
    data frame with columns study, table, dataset, model, head, quantity, fraction, published,
    published_sd, measured, low, high, verdict, why, source
        One line per published number; `published` is text as printed.

    Raises
    ------
    pandas.errors.MergeError
        A number was measured twice.
    """
    names = {printed: model for model, printed in facts.published_names.items()}
    published = published.assign(model=published["model"].replace(names))
    models = {row.model for row in facts.rows}
    whole = pd.Series([*zip(published["dataset"], published["scheme"], strict=True)])
    mine = published["model"].isin(models) | whole.isin([*test_sets]).to_numpy()
    mine &= published["quantity"].isin(QUANTITIES)
    mine &= published["dataset"].isin([*facts.datasets, ""])
    numbers = published[mine].rename(columns={"value": "published", "sd": "published_sd"})
    for name in ("fraction", "published_sd"):
        numbers[name] = pd.to_numeric(numbers[name])
    values = measured[[*KEYS, "value", "low", "high"]].rename(columns={"value": "measured"})
    numbers = numbers.merge(values, on=KEYS, how="left", validate="many_to_one")
    lines = [_compared(number, facts) for number in numbers.to_dict("records")]
    return pd.DataFrame(lines, columns=COLUMNS)


def _compared(number: dict[Any, Any], facts: StudyFacts) -> Card:
    """Return the line of one published number, with study, verdict and why."""
    ends = {"low": number["low"], "high": number["high"]}
    verdict, why = agreement(
        number["published"], number["measured"], **ends, against=_obstacles(number, facts)
    )
    if verdict == "differs" and number["note"]:
        why += f"; {number['note']}"
    return number | {"study": facts.study, "verdict": verdict, "why": why}
