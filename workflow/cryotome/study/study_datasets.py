"""Datasets of a study, and what its config says beyond rows and schemes."""

from dataclasses import dataclass
from functools import cached_property

from cryotome.core.cards import Card
from cryotome.study.catalog import Catalog
from cryotome.study.colorectal import Colorectal
from cryotome.study.statistical_unit import is_unknown
from cryotome.study.variants import crop_variants


@dataclass(frozen=True)
class StudyDatasets(Catalog):
    """A config and its datasets; `study.Study` adds rows and schemes."""

    config: Card

    @property
    def name(self) -> str:
        return self.config["study"]

    @property
    def view(self) -> str:
        """How patches become embeddings, as paths name it: `{transform}-{precision}`."""
        return "{transform}-{precision}".format(**self.config["view"])

    @property
    def context(self) -> Card | None:
        """The crops and poolings that every dataset and model of the study is run with."""
        return self.config.get("context")

    @property
    def recalibration(self) -> Card | None:
        """On how many labelled cells of a target domain scores are recalibrated, if at all."""
        return self.config.get("recalibration")

    @property
    def resolutions(self) -> list[float]:
        """The resolutions that every crop of the study is shown at, µm per px; often none."""
        return self.context.get("resolutions", []) if self.context else []

    @cached_property
    def datasets(self) -> list[str]:
        names = self.config["datasets"]
        if not self.context:
            return names
        swept = self.context["sides"], self.resolutions
        return [crop for name in names for crop in crop_variants(name, self.dataset(name), *swept)]

    @property
    def folds(self) -> list[int]:
        return list(range(self.config["folds"]))

    @cached_property
    def colorectal(self) -> Colorectal | None:
        """The part of Roth et al. 2024, where the study has one."""
        block = self.config.get("colorectal")
        if block is None:
            return None
        cards = {"model": self.model, "dataset": self.dataset, "finetuning": self.finetuning}
        return Colorectal(block, self.view, self.folds, **cards)

    @cached_property
    def all_datasets(self) -> list[str]:
        """The datasets of both papers' parts, external ones too."""
        more = self.colorectal.datasets if self.colorectal else []
        return list(dict.fromkeys([*self.datasets, *self.config["external"], *more]))

    @property
    def targets(self) -> list[str]:
        """The datasets that models are applied to, none of which trains or is in a table."""
        return [one if isinstance(one, str) else one["target"] for one in self.config["apply"]]

    @property
    def downloads(self) -> list[str]:
        """The public records that hold the study's datasets."""
        said = [self.dataset(n).get("download", []) for n in [*self.all_datasets, *self.targets]]
        lists = [[one] if isinstance(one, str) else one for one in said]
        return list(dict.fromkeys(name for names in lists for name in names))

    @cached_property
    def unknown_slides(self) -> list[str]:
        """The datasets of whose images no slide is known."""
        return [name for name in self.all_datasets if is_unknown(self.dataset(name))]

    @cached_property
    def rated(self) -> list[str]:
        """The datasets whose cards name raters."""
        return [name for name in self.datasets if "raters" in self.dataset(name)]

    @cached_property
    def synthetic(self) -> bool:
        """Whether every dataset of this study is invented tissue."""
        return all("synthetic" in self.dataset(name) for name in self.all_datasets)
