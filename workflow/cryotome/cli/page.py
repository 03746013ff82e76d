"""The page of a study that is not finished: `python -m cryotome.cli.page demo`."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

from cryotome.core.cards import read_yaml
from cryotome.core.errors import CryotomeError
from cryotome.report.after_failure import refresh_partial_tables
from cryotome.report.page.page import write_page
from cryotome.runtime.interpreter import restart_in_utf8
from cryotome.study.checks import checked_study
from cryotome.study.facts import page_about
from cryotome.study.site import RESULTS, resolve_site
from cryotome.study.study import Study


def crossed_files(study: Study, results: Path, folder: Path) -> SimpleNamespace:
    """Return what Table 2 is made from, as the rule `table2_partial` names it."""
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
    """Write the page of a study that is not finished, beside where the finished one will be.

    Parameters
    ----------
    results
        The folder that holds `studies`.
    """
    page = results / "studies" / study.name / "index_partial.html"
    write_page(page, json.loads(page_about(study)))
    say(f"{page} shows what there is, and says what is missing.")
    return page


def main(name: str, folder: Path = Path("config"), results: Path = RESULTS) -> Path:
    """Write the page of the study in `config/{name}.yaml` from what lies on disk."""
    config = folder / f"{'config' if name == 'demo' else name}.yaml"
    study = checked_study(
        resolve_site(read_yaml(config), folder).study, folder, files=(str(config),)
    )
    (results / "studies" / study.name).mkdir(parents=True, exist_ok=True)
    refresh_partial_tables(
        study, crossed_files(study, results, folder), results / "logs", always=True
    )
    return write_partial_page(study, results, say=print)


if __name__ == "__main__":
    restart_in_utf8()
    try:
        main(sys.argv[1])
    except CryotomeError as error:
        sys.exit(str(error))
