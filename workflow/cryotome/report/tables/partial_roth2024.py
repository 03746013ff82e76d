"""Tables 1 and 2 of paper 002 from whatever there is, and why the rest is missing."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from cryotome.core.cards import Card
from cryotome.core.files import atomic_write
from cryotome.core.tables import write_csv
from cryotome.evaluation.published import read_published
from cryotome.report.tables.roth2024 import judged, read_summaries, table_of_rows
from cryotome.runtime.failures import Failure, failures
from cryotome.study.facts import colorectal_facts
from cryotome.study.study import Study

# rules whose failure keeps a row's scores away
ON_THE_WAY = {
    "patches": [
        *("make_demo_tissue", "finetune_dinov2", "read_cells", "cut_patches", "embed"),
        *("split_given", "classify_patches", "score_patches"),
    ],
    "slides": [
        *("make_demo_cohort", "finetune_dinov2", "tile_slide", "embed_slide", "read_cohort"),
        *("split_patients", "train_mil", "score_patients"),
    ],
}
NAMED = ("view", "model", "head", "finetune")
REASONS = 3  # that one row lists


def why_missing(row: dict[str, str], kind: str, failed: list[Failure]) -> str:
    """Say which failed jobs keep the scores of a row away.

    Parameters
    ----------
    row
        `view`, `model`, `head`, and `finetune` where the encoder is finetuned here.
    kind
        `patches` or `slides`.
    """
    reasons = [
        f"{f.rule}: {' '.join(f.why.split())}"
        for f in failed
        if f.rule in ON_THE_WAY[kind]
        and all(row.get(name) == said for name, said in f.wildcards.items() if name in NAMED)
    ]
    return "; ".join(list(dict.fromkeys(reasons))[:REASONS])


def partial_table(
    scores: list[Path], published: pd.DataFrame, kind: str, failed: list[Failure], about: Card
) -> pd.DataFrame:
    """Lay out a table from the score files that exist.

    Parameters
    ----------
    scores
        All that the study asks for, whether they exist or not.
    about
        `Colorectal.about`.

    Returns
    -------
    data frame
        As `table_of_rows`, and `why`: what keeps a row away, empty where nothing does.
    """
    found = [path for path in scores if path.exists()]
    measured = read_summaries(found)
    table = table_of_rows(measured, judged(measured, published, about), kind, about)
    there = {(path.parent.name, path.stem) for path in found}
    why = []
    for model, head in zip(table["model"], table["head"], strict=True):
        view = next(view for name, _, view in about["rows"] if name == model)
        row = {"model": model, "head": head, "view": view}
        row |= {"finetune": about["finetuned"].get(model, "")}
        missing = (f"model={model}", f"head={head}") not in there
        why.append(missing * (why_missing(row, kind, failed) or "not run yet"))
    return table.assign(why=why)


def write_partials(
    study: Study, scores: dict[str, list[str]], logs: Path, *, say: Callable[..., None]
) -> None:
    """Write what there is of Tables 1 and 2, where the study has them.

    Parameters
    ----------
    scores
        `slides` and `patches` to the score files of their rows, whether they exist or not.
    logs
        The folder of logs, with the records of failed jobs.
    """
    if study.colorectal is None:
        return
    about, failed = json.loads(colorectal_facts(study.colorectal)), failures(logs)
    published = read_published(sorted((study.folder / "published").glob("*.csv")))
    for name, kind in (("table1", "slides"), ("table2", "patches")):
        if f"colorectal/{name}.csv" not in study.products:
            continue
        folder = logs.parent / "studies" / study.name / "colorectal"
        table = partial_table(list(map(Path, scores[kind])), published, kind, failed, about)
        with atomic_write(folder / f"{name}_partial.csv") as beside:
            write_csv(table, beside)
        say(
            f"{folder / name}_partial.csv holds what there is of paper 002's table, and why the "
            "rest is missing."
        )
