"""Tables 1 to 3 of paper 002: measured values with their intervals, beside the printed ones."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from cryotome.core.cards import Card
from cryotome.core.files import RunPath
from cryotome.core.tables import read_csv
from cryotome.evaluation.published import KEYS, compare_with_published
from cryotome.report.tables.markup import to_markdown
from cryotome.study.colorectal import GIVEN, notice_of
from cryotome.study.statistical_unit import UNKNOWN

MEASURED = ["value", "sd", "low", "high", "n_positive", "n_negative"]
LONG = [*KEYS, *MEASURED]
BESIDE = ["published", "published_sd", "verdict"]
# what the column `fold` says of a line that is not one fold's (`patients.score_cohort`), and of
# the one fold of sets that are given
SUMMARY, VALIDATION, ONLY = "all", "validation", "0"


def read_summaries(paths: list[Path], *, fold: str = SUMMARY) -> pd.DataFrame:
    """Read the summary lines of score files of patches or slides.

    Parameters
    ----------
    fold
        `all`: the mean over folds with its interval; `validation`: that of the cells or
        patients that choose.

    Returns
    -------
    data frame with columns dataset, scheme, model, head, quantity, fraction, value, sd, low, high,
    n_positive, n_negative
        `dataset` is the one tested on.
    """
    parts = [pd.DataFrame(columns=LONG)]
    for path in paths:
        run = RunPath.of(path)
        part = read_csv(path).astype({"fold": str})
        wanted = ONLY if run.scheme == GIVEN and fold == SUMMARY else fold
        part = part[part["fold"] == wanted].rename(
            columns={"metric": "quantity", "test_domain": "dataset"}
        )
        about = {"scheme": run.scheme, "model": run.model, "head": run.head}
        parts.append(part.assign(**about).reindex(columns=LONG))
    return pd.concat([part for part in parts if len(part)] or parts, ignore_index=True)


def judged(measured: pd.DataFrame, published: pd.DataFrame, about: Card) -> pd.DataFrame:
    """Put a verdict beside every printed number of the study's encoders.

    What is finetuned here answers to the numbers of the authors' own weights, where those are
    no row themselves.

    Parameters
    ----------
    measured
        From `read_summaries`.
    about
        As `published.compare` takes it, and `printed_as`: model to the name that numbers have.
    """
    names = about["printed_as"]
    renamed = measured.assign(model=measured["model"].replace(names))
    rows = [(names.get(model, model), *rest) for model, *rest in about["rows"]]
    random = [names.get(model, model) for model in about["random"]]
    table = compare_with_published(published, renamed, about | {"rows": rows, "random": random})
    back = {printed: model for model, printed in names.items()}
    return table.assign(model=table["model"].replace(back))


def _wide(
    order: list[tuple[str, str]],
    measured: pd.DataFrame,
    verdicts: pd.DataFrame,
    columns: dict[str, tuple[str, str]],
) -> pd.DataFrame:
    """Give each (model, head) one line; `columns` is a name's beginning to dataset and quantity."""
    keys = ["model", "head"]
    said = verdicts[~verdicts["table"].str.endswith("readme")]
    table = pd.DataFrame(order, columns=keys)
    for name, (dataset, quantity) in columns.items():
        for part, kept in ((measured, MEASURED), (said, BESIDE)):
            mine = part[(part["dataset"] == dataset) & (part["quantity"] == quantity)]
            values = mine.set_index(keys)[kept].add_prefix(f"{name}_")
            table = table.join(values.rename(columns={f"{name}_value": name}), on=keys)
    return table


def table_of_rows(
    measured: pd.DataFrame, verdicts: pd.DataFrame, kind: str, about: Card
) -> pd.DataFrame:
    """Lay out a table of the study's rows, every head below its encoder.

    Parameters
    ----------
    measured
        From `read_summaries`; rows that lack are left empty.
    verdicts
        From `judged`.
    kind
        `patches` or `slides`.
    about
        `Colorectal.about`: study, order, columns, titles, synthetic.

    Returns
    -------
    data frame with columns study, model, head, title, then for each column of that kind its
    value, `_sd`, `_low`, `_high`, `_n_positive`, `_n_negative` (patients; empty of patches),
    `_published`, `_published_sd`, `_verdict` and `_synthetic` (whether its numbers come from
    synthetic tissue), of patches a note, and synthetic: whether all do
    """
    table = _wide(about["order"][kind], measured, verdicts, about["columns"][kind])
    table.insert(0, "study", about["study"])
    table.insert(3, "title", table["model"].map(about["titles"]))
    empty = [
        c for c in table if str(c).endswith(("n_positive", "n_negative")) and table[c].isna().all()
    ]
    if kind == "patches":
        table["note"] = UNKNOWN if _tested(about) in about.get("unknown_slides", []) else ""
    invented = {name: name in about["synthetic_columns"][kind] for name in about["columns"][kind]}
    said = {f"{name}_synthetic": value for name, value in invented.items()}
    return table.drop(columns=empty).assign(**said, synthetic=all(invented.values()))


def table3(
    cards: dict[str, Card], measured: dict[str, Card], numbers: pd.DataFrame
) -> pd.DataFrame:
    """Set parameters and feature sizes of the built networks beside the printed ones.

    Parameters
    ----------
    cards
        Model to its card, in table order.
    measured
        Model to what `measure` counts; models without a network are absent.
    numbers
        The published numbers, of which those of Table 3 are taken.

    Returns
    -------
    data frame with columns model, title, parameters, published_parameters, features,
    published_features, note
        `note` says what is wrong with a printed number.
    """
    printed = numbers[numbers["table"] == "roth2024_table3"]
    rows: list[dict[str, Any]] = []
    for model, card in cards.items():
        mine = printed[printed["model"] == model].set_index("quantity")
        counted = measured.get(model, {})
        row = {"model": model, "title": card["title"]}
        for name, key in (("parameters", "parameters"), ("features", "dim")):
            row |= {name: counted.get(key, card["dim"] if key == "dim" else pd.NA)}
            row |= {f"published_{name}": mine["value"].get(name, "")}
        rows.append(row | {"note": "; ".join(dict.fromkeys(filter(None, mine["note"])))})
    return pd.DataFrame(rows).astype({"parameters": "Int64", "features": "Int64"})


def counted(sizes: pd.DataFrame) -> pd.DataFrame:
    """Turn Table 3 into the long form of `judged`; the interval of a count is the count."""
    parts = [
        sizes[["model"]].assign(quantity=name, value=sizes[name], low=sizes[name], high=sizes[name])
        for name in ("parameters", "features")
    ]
    blank = dict.fromkeys(("dataset", "scheme", "head"), "")
    return pd.concat(parts).assign(**blank).dropna(subset="value").reindex(columns=LONG)


def _printed(line: dict[Any, Any], name: str) -> str:
    """Write a value with its SD, its interval and what is printed: 0.89 ± 0.05 (0.83 to 0.94)."""
    if pd.isna(line.get(name)):
        return "missing"
    text = f"{line[name]:.2f}"
    text += f" ± {line[f'{name}_sd']:.2f}" if pd.notna(line.get(f"{name}_sd")) else ""
    if pd.notna(line.get(f"{name}_low")):
        text += f" ({line[f'{name}_low']:.2f} to {line[f'{name}_high']:.2f})"
    said = line.get(f"{name}_published")
    return text if pd.isna(said) else f"{text}; printed {said}: {line[f'{name}_verdict']}"


def _cells(table: pd.DataFrame, columns: dict[str, str]) -> pd.DataFrame:
    """Write the cells of a table of rows; `columns` is a column to its heading."""
    return pd.DataFrame(
        {"Encoder": line["title"], "Head": line["head"]}
        | {head: _printed(line, name) for name, head in columns.items()}
        for line in table.to_dict("records")
    )


def _patients(table: pd.DataFrame, name: str) -> str:
    """Say how many patients the rows of Table 1 rest on: 65 of 457 positive."""
    columns = [f"{name}_n_positive", f"{name}_n_negative"]
    counts = table.reindex(columns=columns).dropna().drop_duplicates()
    said = [f"{int(positive)} of {int(positive + other)}" for positive, other in counts.to_numpy()]
    return f"{' or '.join(said) or 'no'} positive"


def _tested(about: Card) -> str:
    """Return the dataset whose patches are tested."""
    return about["columns"]["patches"]["balanced_accuracy"][0]


def _unknown(about: Card) -> str:
    """Say what nobody knows of the tested patches."""
    known = _tested(about) not in about.get("unknown_slides", [])
    return "their patients are not known" if known else f"{UNKNOWN}, nor their patients"


def slides_of_cohorts(lists: list[Path], about: Card) -> list[str]:
    """Say how many slides of each cohort are usable, enlarged, or left without tiles.

    Parameters
    ----------
    lists
        The list of slides of each cohort, `{dataset}/classify.csv`; given bags have none.

    Returns
    -------
    A sentence a list: `Slides of Demo cohort: 9 ok, 1 no tissue (demo_cohort/classify.csv).`
    """
    said = []
    for path in lists:
        counts = read_csv(path)["status"].value_counts().items()
        title = about["datasets"].get(path.parent.name, path.parent.name)
        shown = ", ".join(f"{count} {status}" for status, count in counts)
        said.append(f"Slides of {title}: {shown} ({path.parent.name}/{path.name}).")
    return said


def sentence_summary(
    slides: pd.DataFrame | None,
    patches: pd.DataFrame | None,
    sizes: pd.DataFrame,
    about: Card,
    known: Sequence[str] = (),
) -> str:
    """Write Tables 1 to 3 in Markdown, with captions that say what is real.

    A study of slides alone, or of patches alone, has no other table. `known` is what
    `slides_of_cohorts` says.
    """
    parts = []
    if slides is not None:
        parts.append(" ".join([_slides_in_words(slides, about).rstrip("\n"), *known]) + "\n")
    if patches is not None:
        tested = about["datasets"][_tested(about)]
        heads = {"balanced_accuracy": "Balanced accuracy", "weighted_f1": "Weighted F1"}
        caption = (
            f"Study {about['study']}, Table 2: {tested} (95 % interval, patches as the unit: "
            f"{_unknown(about)}, so it is too narrow). Printed: Roth et al. 2024, Table 2."
        )
        parts.append(to_markdown(_cells(patches, heads), caption + _made_from(about, "patches")))
    shown = sizes.drop(columns=["model", "study"]).astype({"parameters": "Int64"})
    shown = shown.astype(object).where(shown.notna(), "")
    three = to_markdown(
        shown, f"Study {about['study']}, Table 3: parameters and features of the built networks."
    )
    return "\n".join([*parts, three])


def _slides_in_words(slides: pd.DataFrame, about: Card) -> str:
    titles, columns = about["datasets"], about["columns"]["slides"]
    heads = {name: titles[dataset] + ", external" * (name != "cohort")
             for name, (dataset, _) in columns.items()}  # fmt: skip
    outside = [name for name in columns if name != "cohort"]
    counted = [f"{_patients(slides, 'cohort')} in the cohort"]
    counted += [
        f"{_patients(slides, name)} in {heads[name]}"
        if len(outside) > 1
        else f"{_patients(slides, name)} outside"
        for name in outside
    ]
    return to_markdown(
        _cells(slides, heads),
        f"Study {about['study']}, Table 1: AUROC over patients, mean ± population SD over folds "
        f"(95 % interval, patients as the unit); {', '.join(counted)}. Printed: Roth et al. 2024, "
        "Table 1, of 632 and 110 patients." + _made_from(about, "slides"),
    )


def _made_from(about: Card, kind: str) -> str:
    notice = notice_of(about, [kind])
    return f" Made from the {notice}: it says nothing about real tissue." if notice else ""
