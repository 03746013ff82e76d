"""Tables 1 to 3 of Roth et al. 2024: measured values with intervals, beside the printed ones."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from cryotome.core.cards import Card
from cryotome.core.tables import read_csv
from cryotome.evaluation.measured import MEASURED
from cryotome.report.tables.markup import synthetic_sentence, to_markdown, with_interval
from cryotome.study.facts import RothFacts
from cryotome.study.row import Row
from cryotome.study.statistical_unit import UNKNOWN

BESIDE = ["published", "published_sd", "verdict"]


def _wide(
    rows: list[Row],
    measured: pd.DataFrame,
    verdicts: pd.DataFrame,
    columns: dict[str, tuple[str, str]],
) -> pd.DataFrame:
    """Give each (model, head) one line; `columns` maps a prefix to dataset and quantity."""
    keys = ["model", "head"]
    printed = verdicts[~verdicts["table"].str.endswith("readme")]
    table = pd.DataFrame([(row.model, row.head) for row in rows], columns=keys)
    for name, (dataset, quantity) in columns.items():
        for part, kept in ((measured, MEASURED), (printed, BESIDE)):
            mine = part[(part["dataset"] == dataset) & (part["quantity"] == quantity)]
            values = mine.set_index(keys)[kept].add_prefix(f"{name}_")
            table = table.join(values.rename(columns={f"{name}_value": name}), on=keys)
    return table


def table_of_rows(
    measured: pd.DataFrame, verdicts: pd.DataFrame, kind: str, facts: RothFacts
) -> pd.DataFrame:
    """Lay out a table of the study's rows, every head below its encoder.

    Parameters
    ----------
    measured
        From `read_summaries`; missing rows are left empty.
    verdicts
        From `compare_with_published`.
    kind
        `patches` or `slides`.

    Returns
    -------
    data frame with columns study, model, head, title, then for each column of that kind its
    value, `_sd`, `_low`, `_high`, `_n_positive`, `_n_negative` (patients; empty of patches),
    `_published`, `_published_sd`, `_verdict` and `_synthetic` (whether its numbers come from
    synthetic tissue), of patches a note, and synthetic: whether all do
    """
    table = _wide(facts.rows_of[kind], measured, verdicts, facts.columns[kind])
    table.insert(0, "study", facts.study)
    table.insert(3, "title", table["model"].map(facts.titles))
    empty = [
        c for c in table if str(c).endswith(("n_positive", "n_negative")) and table[c].isna().all()
    ]
    if kind == "patches":
        table["note"] = UNKNOWN if _test_set(facts) in facts.unknown_slides else ""
    synthetic = {name: name in facts.synthetic_columns[kind] for name in facts.columns[kind]}
    flags = {f"{name}_synthetic": value for name, value in synthetic.items()}
    return table.drop(columns=empty).assign(**flags, synthetic=all(synthetic.values()))


def table3(
    cards: dict[str, Card], measured: dict[str, Card], numbers: pd.DataFrame
) -> pd.DataFrame:
    """Compare parameters and feature sizes of the built networks with the printed ones.

    Parameters
    ----------
    cards
        Model to its card, in table order.
    measured
        Model to its `profile_encoder`; models without a network are absent.
    numbers
        The published numbers, of which those of Table 3 are taken.

    Returns
    -------
    data frame with columns model, title, parameters, published_parameters, features,
    published_features, note
        `note`: what is wrong with a printed number.
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


def _cell(line: dict[Any, Any], name: str) -> str:
    """Return a value with SD and interval, and its published number with the verdict."""
    if pd.isna(line.get(name)):
        return "missing"
    text = f"{line[name]:.2f}"
    text += f" ± {line[f'{name}_sd']:.2f}" if pd.notna(line.get(f"{name}_sd")) else ""
    text = with_interval(text, line.get(f"{name}_low"), line.get(f"{name}_high"))
    printed = line.get(f"{name}_published")
    return text if pd.isna(printed) else f"{text}; printed {printed}: {line[f'{name}_verdict']}"


def _cells(table: pd.DataFrame, columns: dict[str, str]) -> pd.DataFrame:
    """Return the cells of a table of rows; `columns` maps a column to its heading."""
    return pd.DataFrame(
        {"Encoder": line["title"], "Head": line["head"]}
        | {head: _cell(line, name) for name, head in columns.items()}
        for line in table.to_dict("records")
    )


def _patient_counts(table: pd.DataFrame, name: str) -> str:
    """Return the number of patients of the rows of Table 1: 65 of 457 positive."""
    columns = [f"{name}_n_positive", f"{name}_n_negative"]
    counts = table.reindex(columns=columns).dropna().drop_duplicates()
    texts = [f"{int(up)} of {int(up + down)}" for up, down in counts.to_numpy()]
    return f"{' or '.join(texts) or 'no'} positive"


def _test_set(facts: RothFacts) -> str:
    """Return the dataset of the test patches."""
    return facts.columns["patches"]["balanced_accuracy"][0]


def _unknown_units(facts: RothFacts) -> str:
    """Return which units of the test patches are unknown."""
    known = _test_set(facts) not in facts.unknown_slides
    return "their patients are not known" if known else f"{UNKNOWN}, nor their patients"


def slides_of_cohorts(lists: list[Path], facts: RothFacts) -> list[str]:
    """Return how many slides of each cohort have which status, as sentences.

    Parameters
    ----------
    lists
        The list of slides of each cohort, `{dataset}/classify.csv`; ready-made bags have none.

    Returns
    -------
    One sentence per list: `Slides of Demo cohort: 9 ok, 1 no tissue (demo_cohort/classify.csv).`
    """
    sentences = []
    for path in lists:
        counts = read_csv(path)["status"].value_counts().items()
        title = facts.datasets.get(path.parent.name, path.parent.name)
        shown = ", ".join(f"{count} {status}" for status, count in counts)
        sentences.append(f"Slides of {title}: {shown} ({path.parent.name}/{path.name}).")
    return sentences


def markdown_tables(
    slides: pd.DataFrame | None,
    patches: pd.DataFrame | None,
    sizes: pd.DataFrame,
    facts: RothFacts,
    statuses: Sequence[str] = (),
) -> str:
    """Write Tables 1 to 3 in Markdown, with captions that name synthetic tissue.

    `slides` or `patches` is None in a study without them. `statuses`: from `slides_of_cohorts`.
    """
    parts = []
    if slides is not None:
        table = _slides_table(slides, facts).rstrip("\n")
        parts.append(" ".join([table, *statuses]) + "\n")
    if patches is not None:
        parts.append(_patches_table(patches, facts))
    shown = sizes.drop(columns=["model", "study"]).astype({"parameters": "Int64"})
    shown = shown.astype(object).where(shown.notna(), "")
    caption = f"Study {facts.study}, Table 3: parameters and features of the built networks."
    return "\n".join([*parts, to_markdown(shown, caption)])


def _patches_table(patches: pd.DataFrame, facts: RothFacts) -> str:
    tested = facts.datasets[_test_set(facts)]
    heads = {"balanced_accuracy": "Balanced accuracy", "weighted_f1": "Weighted F1"}
    caption = (
        f"Study {facts.study}, Table 2: {tested} (95 % interval, patches as the unit: "
        f"{_unknown_units(facts)}, so it is too narrow). Printed: Roth et al. 2024, Table 2."
    )
    return to_markdown(
        _cells(patches, heads), caption + synthetic_sentence(facts.notice_of(["patches"]))
    )


def _slides_table(slides: pd.DataFrame, facts: RothFacts) -> str:
    titles, columns = facts.datasets, facts.columns["slides"]
    heads = {name: titles[dataset] + ", external" * (name != "cohort")
             for name, (dataset, _) in columns.items()}  # fmt: skip
    outside = [name for name in columns if name != "cohort"]
    counted = [f"{_patient_counts(slides, 'cohort')} in the cohort"]
    counted += [
        f"{_patient_counts(slides, name)} in {heads[name]}"
        if len(outside) > 1
        else f"{_patient_counts(slides, name)} outside"
        for name in outside
    ]
    return to_markdown(
        _cells(slides, heads),
        f"Study {facts.study}, Table 1: AUROC over patients, mean ± population SD over folds "
        f"(95 % interval, patients as the unit); {', '.join(counted)}. Printed: Roth et al. 2024, "
        "Table 1, of 632 and 110 patients." + synthetic_sentence(facts.notice_of(["slides"])),
    )
