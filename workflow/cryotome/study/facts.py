"""Facts of a study that its tables, figures and page need; `gather_facts` makes them."""

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from cryotome.core.cards import Card
from cryotome.study.row import Row
from cryotome.study.statistical_unit import UNKNOWN, noted
from cryotome.study.styles import Style

MEANING = {  # of the findings of an audit, for people
    "broken": "cells on images that cannot be read",
    "outside": "centres outside their image",
    "border": "windows across the border",
    "duplicate": "exact duplicates",
    "conflict": "exact duplicates with another label",
    "near": "near pairs",
    "enlarged": "patches enlarged from a coarser image",
}
Job = tuple[str, dict[str, str]]  # a rule and the wildcards of one of its jobs


@dataclass(frozen=True)
class Statistics:
    """Settings of intervals and tests.

    Attributes
    ----------
    draws
        Bootstrap draws of slides.
    margin
        AUROC, within which two rows count as equivalent.
    """

    draws: int
    alpha: float
    margin: float


@dataclass(frozen=True)
class StudyFacts:
    """The datasets and rows of a study, and how its numbers are made.

    Attributes
    ----------
    datasets
        Name to title, of Ganz et al. 2024 with the task.
    synthetic
        Names of those whose tissue is invented.
    notice
        What says so; empty where no tissue is.
    unknown_slides
        Names of those of whose images no slide is known.
    random
        Models with random weights.
    asked_schemes
        As the config names them: `from_*` stands for all domains.
    published_names
        Model to the name that its published numbers have, where that is another.
    """

    study: str
    datasets: dict[str, str]
    synthetic: list[str]
    notice: str
    unknown_slides: list[str]
    rows: list[Row]
    random: list[str]
    asked_schemes: list[str]
    fractions: list[float]
    folds: list[int]
    published_names: dict[str, str]

    @property
    def unit(self) -> str:
        """The unit of intervals, for captions: slides, or images where slides are not known."""
        if not self.unknown_slides:
            return "slides"
        rest = set(self.datasets) - set(self.unknown_slides)
        return f"slides (of {', '.join(self.unknown_slides)}: {UNKNOWN})" if rest else UNKNOWN

    @property
    def as_unit(self) -> str:
        """The same as a phrase."""
        return f"unit: {self.unit}" if self.unknown_slides else "slides as the unit"

    def with_study(self, table: pd.DataFrame) -> pd.DataFrame:
        """Add the study in front, whether tissue is synthetic, and notes on unknown slides."""
        table = noted(table, self.unknown_slides)
        table = table.assign(synthetic=table["dataset"].isin(self.synthetic))
        table.insert(0, "study", self.study)
        return table


@dataclass(frozen=True)
class RowFacts(StudyFacts):
    """A study of cells, with the names for people of all that its rows are run on.

    Attributes
    ----------
    labels, styles, replicates
        Of every row, by its key. Replicates differ in the training seed alone.
    ways
        Row to how it uses its encoder: `control`, `frozen`, `adapted by LoRA`,
        `last blocks trained` or `trained`.
    reference, figure2, multi_head
        Keys of rows: what others are compared with (empty without rows), those of Figure 2,
        and those of models that several heads read.
    external
        Title of every dataset on which all folds' models are scored too.
    domains
        Dataset to the titles of its domains.
    scanners
        Dataset to the `scanners` of its card, where the study splits it by them.
    homes
        Dataset to the domains that are trained on one at a time.
    schemes, rungs, heads, models
        Titles by name; rungs are those of the leakage ladder.
    """

    labels: dict[str, str]
    styles: dict[str, Style]
    replicates: dict[str, list[str]]
    ways: dict[str, str]
    reference: str
    figure2: list[str]
    multi_head: list[str]
    external: dict[str, str]
    domains: dict[str, dict[str, str]]
    scanners: dict[str, Card]
    homes: dict[str, list[str]]
    schemes: dict[str, str]
    rungs: dict[str, str]
    heads: dict[str, str]
    models: dict[str, str]
    statistics: Statistics


@dataclass(frozen=True)
class RothFacts(StudyFacts):
    """The part of Roth et al. 2024; kinds are `patches` and `slides`.

    Attributes
    ----------
    rows_of
        Kind to its rows, every head below its encoder.
    titles, styles
        Of every model and checkpoint.
    columns
        Kind to the columns of its table: dataset tested on, and quantity.
    synthetic_columns
        Kind to those of them whose numbers come from synthetic tissue.
    checkpoints
        Kind to the models of Figure 2, by iteration.
    finetuned
        Model to its finetuning.
    """

    rows_of: dict[str, list[Row]]
    titles: dict[str, str]
    styles: dict[str, Style]
    columns: dict[str, dict[str, tuple[str, str]]]
    synthetic_columns: dict[str, list[str]]
    checkpoints: dict[str, dict[int, str]]
    finetuned: dict[str, str]

    def notice_of(self, kinds: Iterable[str] = ("patches", "slides")) -> str:
        """Say which numbers of these tables come from synthetic tissue; nothing where none do."""
        columns = [(kind, name) for kind in kinds for name in self.columns[kind]]
        invented = [(k, name) for k, name in columns if name in self.synthetic_columns[k]]
        if not invented:
            return ""
        names = dict.fromkeys(self.datasets[self.columns[k][name][0]] for k, name in invented)
        return self.notice + f" ({', '.join(names)})" * (len(invented) < len(columns))


@dataclass(frozen=True)
class ContextFacts:
    """The crops and poolings of the context study.

    Attributes
    ----------
    crops
        Dataset to what it is cut from, and the side of the crop in px of that.
    resolutions
        Dataset to µm per px of its patches; empty where the study sweeps none.
    bases
        What crops are cut from, to what its card says of its images' place and resolution.
    models
        Model to the model that it pools, and how.
    titles
        Of the models that are pooled.
    """

    poolings: list[str]
    crops: dict[str, tuple[str, int]]
    resolutions: dict[str, float]
    bases: dict[str, Card]
    models: dict[str, tuple[str, str]]
    titles: dict[str, str]


@dataclass(frozen=True)
class RowJobs:
    """The jobs that a row needs on a dataset, beyond those that all rows share."""

    dataset: str
    model: str
    head: str
    jobs: list[Job]


@dataclass(frozen=True)
class JobFacts:
    """The jobs of a study.

    Attributes
    ----------
    wildcards
        Name to the values that the study's jobs have.
    shared
        Dataset to the jobs that every row needs.
    schemes
        Dataset to the schemes of the AUROC that stands beside a row's cost.
    synthetic
        Datasets that are invented.
    """

    wildcards: dict[str, list[str]]
    rows: list[RowJobs]
    shared: dict[str, list[Job]]
    schemes: dict[str, list[str]]
    synthetic: list[str]


@dataclass(frozen=True)
class DatasetCard:
    """What the page says of a dataset's card.

    Attributes
    ----------
    source_dataset
        The dataset that was audited: of a crop what it is cut from.
    policies
        Finding of the audit to `keep`, `drop` or `refuse`.
    """

    title: str
    task: str
    domains: list[str]
    source: str
    licence: str
    source_dataset: str
    policies: Card


@dataclass(frozen=True)
class PageFacts(RowFacts):
    """What the page says beyond the tables.

    Attributes
    ----------
    summary
        What the study is, in words.
    config
        The file that a command names; empty for the demo.
    products
        File names of everything that the study makes for people.
    blocks
        Pairs of dataset and scheme.
    cautions
        Sentences on what no number of the study tells apart.
    attended
        Title of every cohort whose slides the kept models score, by its name.
    weights
        Model to how it got its weights: `random`, `none`, `finetuned here` or `released`.
    """

    summary: str
    config: str
    products: list[str]
    all_datasets: list[str]
    blocks: list[tuple[str, str]]
    cards: dict[str, DatasetCard]
    cautions: list[str]
    weights: dict[str, str]
    model_styles: dict[str, Style]
    attended: dict[str, str]
    roth: RothFacts | None
