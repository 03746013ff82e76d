"""The page of an unfinished study, from the results so far: `python -m cryotome.cli.page demo`."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

from cryotome.report.after_failure import refresh_partial_tables
from cryotome.report.page.page import write_page
from cryotome.runtime.interpreter import run_program
from cryotome.study.gather_facts import page_facts
from cryotome.study.load import CONFIG, load_study
from cryotome.study.site import RESULTS
from cryotome.study.study import Study


def table2_inputs(study: Study, results: Path, folder: Path) -> SimpleNamespace:
    """Return the inputs of the rule `table2_partial`."""
    predictions = [
        results / "predictions" / dataset / scheme / f"view={row.view}" / f"model={row.model}"
        / f"head={row.head}" / "fraction=1.0" / f"fold={fold}.csv"
        for dataset, scheme in study.cross_domain_blocks
        for row in study.rows
        for fold in study.folds
    ]  # fmt: skip
    cells = [results / "cells" / f"{dataset}.csv" for dataset in study.datasets]
    published = folder / "published" / "ganz2024_table2.csv"
    return SimpleNamespace(cells=cells, predictions=predictions, published=published)


def write_partial_page(study: Study, results: Path, *, say: Callable[..., None]) -> Path:
    """Write the page of an unfinished study beside that of the finished one.

    Parameters
    ----------
    results
        The folder that holds `studies`.
    """
    page = results / "studies" / study.name / "index_partial.html"
    write_page(page, page_facts(study))
    say(f"{page} shows the results so far, and what is missing.")
    return page


def main(name: str, folder: Path = CONFIG, results: Path = RESULTS) -> Path:
    """Write the page of the study in `config/{name}.yaml` from the results on disk."""
    study, _ = load_study(name, folder)
    (results / "studies" / study.name).mkdir(parents=True, exist_ok=True)
    refresh_partial_tables(
        study, table2_inputs(study, results, folder), results / "logs", always=True
    )
    return write_partial_page(study, results, say=print)


if __name__ == "__main__":
    run_program(lambda: main(sys.argv[1]))
