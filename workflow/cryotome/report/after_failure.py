"""Messages and partial tables at the end of a run, above all of one with failed jobs."""

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd

from cryotome.core.errors import StoreError
from cryotome.core.files import atomic_write
from cryotome.core.store import PATCHES, provenance
from cryotome.core.tables import read_csv, write_csv
from cryotome.evaluation.history import FILE, record
from cryotome.evaluation.published import read_published
from cryotome.report.page.answer import headline
from cryotome.report.page.results import StudyResults
from cryotome.report.tables.partial import available_values, table2_partial, table_of_rows_partial
from cryotome.runtime.failures import describe_failures, failures, group_failures
from cryotome.study.facts import RowFacts
from cryotome.study.gather_facts import page_facts, roth_facts, row_facts
from cryotome.study.study import Study

MAX_LISTED = 20  # slides


def write_partial_table2(
    cells: list[Path],
    predictions: list[Path],
    published: Path,
    table: Path,
    *,
    logs: Path,
    facts: RowFacts,
) -> None:
    """Write `table2_partial.csv` of Ganz et al. 2024 from the predictions that exist.

    Parameters
    ----------
    cells, predictions
        All that the study asks for, whether they exist or not.
    logs
        The folder of logs, with the records of failed jobs.
    """
    scores, why = available_values(predictions, {path.stem: path for path in cells}, failures(logs))
    result = table2_partial(scores, read_csv(published), why, facts)
    with atomic_write(table) as beside:
        write_csv(result, beside)


def refresh_partial_tables(
    study: Study, inputs: Any, logs: Path, *, always: bool = False
) -> Path | None:
    """Write the partial Table 2 of a study anew, where there is one or `always`.

    Parameters
    ----------
    inputs
        Of the rule `table2_partial`: cells, predictions, published.

    Returns
    -------
    path of the table, or None where the study has none
    """
    table = logs.parent / "studies" / study.name / "table2_partial.csv"
    if not study.cross_domain_blocks or not (always or table.exists()):
        return None
    cells, predictions = (list(map(Path, part)) for part in (inputs.cells, inputs.predictions))
    published, facts = Path(inputs.published), row_facts(study)
    write_partial_table2(cells, predictions, published, table, logs=logs, facts=facts)
    return table


def write_partial_roth_tables(
    study: Study, scores: dict[str, list[str]], logs: Path, *, say: Callable[..., None]
) -> None:
    """Write Tables 1 and 2 of Roth et al. 2024 from the score files that exist.

    Nothing is written of tables that the study does not have.

    Parameters
    ----------
    scores
        `slides` and `patches` to the score files of their rows, whether they exist or not.
    logs
        The folder of logs, with the records of failed jobs.
    """
    if study.colorectal is None:
        return
    facts, failed = roth_facts(study), failures(logs)
    published = read_published(sorted((study.folder / "published").glob("*.csv")))
    folder = logs.parent / "studies" / study.name / "colorectal"
    for name, kind in (("table1", "slides"), ("table2", "patches")):
        if f"colorectal/{name}.csv" not in study.products:
            continue
        paths, path = list(map(Path, scores[kind])), folder / f"{name}_partial.csv"
        table = table_of_rows_partial(paths, published, kind, failed, facts)
        with atomic_write(path) as beside:
            write_csv(table, beside)
        say(
            f"{path} holds what there is of {name.capitalize()[:-1]} {name[-1]} of Roth et al. "
            "2024, and why the rest is missing."
        )


def clear_partial_page(study: Study, results: Path) -> None:
    """Remove the page of an unfinished study once a later one is finished."""
    finished = results / "studies" / study.name / "index.html"
    partial = finished.with_name("index_partial.html")
    both = finished.exists() and partial.exists()
    if both and partial.stat().st_mtime_ns <= finished.stat().st_mtime_ns:
        partial.unlink()


def record_history(study: Study, results: Path, *, say: Callable[..., None]) -> None:
    """Append what is new of a finished study to `results/history.jsonl`; a rerun adds nothing.

    Parameters
    ----------
    results
        The folder that holds `predictions`.
    """
    if not (results / "studies" / study.name / "index.html").exists():
        return
    try:
        record(results, page_facts(study))
    except OSError as error:  # the study is finished all the same
        say(f"{results / FILE} could not be written ({error}). Run the same command again.")


def report_answer(study: Study, results: Path, *, say: Callable[..., None]) -> None:
    """Say the first sentence of a finished study's page, and where the page lies."""
    page = results / "studies" / study.name / "index.html"
    if not page.exists():
        return
    said = headline(StudyResults(page.parent, page_facts(study))).said
    say("\n".join([*said[:1], f"The page: {page}"]))


def report_excluded_images(study: Study, results: Path, *, say: Callable[..., None]) -> None:
    """List the images that gave no patches and whose cells the datasets' cards leave out.

    Unreadable stores are skipped: the jobs that need them report them.

    Parameters
    ----------
    results
        The folder that holds `patches`.
    """
    for name in study.datasets:
        store = results / "patches" / f"{name}.h5"
        broken: dict[str, str] = {}
        with suppress(StoreError, OSError):
            broken = json.loads(provenance(store, PATCHES)["broken"]) if store.exists() else {}
        if broken:
            lines = [f"{len(broken)} images of {name} are left out, as its card says:"]
            say("\n".join([*lines, *(f"  {why}" for why in broken.values())]))


def report_odd_slides(study: Study, results: Path, *, say: Callable[..., None]) -> None:
    """List the slides of the study's cohorts without tiles, or with other µm/px than the card.

    Parameters
    ----------
    results
        The folder that holds `tiles`.
    """
    for name in study.colorectal.cohorts if study.colorectal else []:
        table = results / "tiles" / name / "classify.csv"
        listed = pd.read_csv(table, dtype=str, keep_default_na=False) if table.exists() else None
        odd = [] if listed is None else listed.loc[listed["reason"] != "", "reason"].tolist()
        if odd:
            more = [f"  ... and {len(odd) - MAX_LISTED} more"] * (len(odd) > MAX_LISTED)
            lines = [f"  {why}" for why in odd[:MAX_LISTED]] + more
            say("\n".join([f"{len(odd)} slides of {name} are odd, see {table}:", *lines]))


def report_failed_jobs(
    study: Study, inputs: Any, logs: Path, *, run: str, say: Callable[..., None]
) -> None:
    """List the jobs that failed, grouped by reason; write the partial Table 2.

    Parameters
    ----------
    inputs
        Of the rule `table2_partial`.
    run
        The run that has ended; records of others are not listed.
    """
    failed = [failure for failure in failures(logs) if failure.run == run]
    lines = ["Jobs failed; what does not need them was made, and stays."]
    lines += [f"  {describe_failures(alike)}" for alike in group_failures(failed)]
    say("\n".join([*lines, "Fix what is named and run the same command again."]))
    # after failed downloads alone, Table 2 is not written
    always = {failure.rule for failure in failed} != {"download"}
    table = refresh_partial_tables(study, inputs, logs, always=always)
    if table:
        say(f"{table} holds what there is of Table 2, and why the rest is missing.")
