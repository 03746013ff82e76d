"""What a study has made so far, and for what is missing the job and the command that make it."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd

from cryotome.core.cards import Card
from cryotome.core.tables import read_csv
from cryotome.runtime.failures import Failure, failures
from cryotome.runtime.ledger import attempts, is_alive, ledger_path
from cryotome.study.facts import PageFacts
from cryotome.study.products import RULES

FAILED = "(a run that failed)"  # stands for the rule of partial tables
OWN = {"html_report", "publish_html"}  # which fail where the page is not


def _named(value: str) -> str:
    """Return the model whose checkpoint a name is, else the name."""
    return value.partition("_at_")[0]


@dataclass(frozen=True)
class FileLink:
    """Where a number came from.

    Attributes
    ----------
    href
        From the page to the file.
    """

    file: str
    rule: str
    href: str


@dataclass(frozen=True)
class MissingFile:
    """A file that is not there, why, and what makes it."""

    file: str
    rule: str
    why: str
    command: str


@dataclass(frozen=True)
class StudyResults:
    """The files of a study as they lie on disk.

    Attributes
    ----------
    folder
        results/studies/{study}; results is two above it.
    made
        When the page was made.
    """

    folder: Path
    facts: PageFacts
    made: str = ""

    @property
    def results(self) -> Path:
        return self.folder.parents[1]

    @cached_property
    def failed(self) -> list[Failure]:
        """The study's jobs that have failed since their last success; what still runs has not."""
        known = {"study": [self.facts.study], "dataset": self.facts.all_datasets}
        known["model"] = list(self.facts.model_styles)
        return [
            failure
            for failure in failures(self.results / "logs")
            if failure.rule not in OWN
            and all(_named(v) in known.get(k, [_named(v)]) for k, v in failure.wildcards.items())
            and (
                failure.wildcards.get("dataset") not in self.facts.domains
                or failure.wildcards.get("scheme") in [None, *self.facts.schemes]
            )
            and not self._runs(failure)
        ]

    def _runs(self, failure: Failure) -> bool:
        path = ledger_path(self.results.parent / failure.log)  # logs are named from beside results
        return any(is_alive(path, attempt) for attempt in attempts(path)[-1:])

    def table(self, name: str) -> pd.DataFrame | None:
        """Return what a table says of the study's datasets, None where it says nothing.

        Lines of a dataset that the study had before and has no more are left out.
        """
        path = self.folder / name
        if not path.exists():
            return None
        table = read_csv(path)
        if "dataset" in table:
            named = table["dataset"].isin(self.facts.all_datasets)
            table = table[named | table["dataset"].isna()]  # an encoder's numbers have none
        return None if table.empty else table.reset_index(drop=True)

    def expects(self, name: str) -> bool:
        """Whether the study makes this file."""
        return name in self.facts.products

    def source(self, name: str) -> FileLink:
        """Return where a file of the study lies, and its rule."""
        href = quote(f"../../studies/{self.folder.name}/{name}")
        return FileLink(name, RULES.get(name, FAILED), href)

    def elsewhere(self, path: Path, rule: str) -> FileLink:
        """Return where another file below results lies."""
        beside = path.relative_to(self.results).as_posix()
        return FileLink(beside, rule, quote(f"../../{beside}", safe="/="))

    def missing(self, *names: str) -> list[MissingFile]:
        """Return those of the study's files that it should have and has not."""
        wanted = (name for name in names if self.expects(name))
        return [self._missing(name) for name in wanted if not (self.folder / name).exists()]

    def _missing(self, name: str) -> MissingFile:
        rule = RULES[name]
        why = next((f.why for f in self.failed if f.rule == rule), "")
        return MissingFile(name, rule, why or "not made yet", self.command(name))

    def command(self, name: str) -> str:
        """Return the command that makes a file of the study."""
        config = f"--configfile {self.facts.config} " if self.facts.config else ""
        return f"snakemake {config}--cores 8 {self.folder / name}"

    def notes(self, dataset: str, model: str, head: str) -> Card:
        """Return what stands beside the first predictions of a row; nothing where it has none."""
        below = self.results / "predictions" / dataset
        for path in below.glob(f"*/view=*/model={model}/head={head}/fraction=*/fold=*.json"):
            found: Any = json.loads(path.read_text(encoding="utf-8"))
            return found
        return {}
