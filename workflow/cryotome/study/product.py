"""A product: a table or figure, its files, and which studies make it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryotome.study.colorectal import Colorectal

if TYPE_CHECKING:
    from cryotome.study.study import Study

# sections of Snakemake's report
GANZ, ROTH, COST = "Ganz et al. 2024", "Roth et al. 2024", "Cost"
UNCERTAINTY, CLINICAL = "Uncertainty", "Clinical summary"


@dataclass(frozen=True)
class When:
    """Which studies make a product, in words and as a function of the study."""

    said: str
    holds: Callable[["Study"], bool]


def _of_rows(said: str, holds: Callable[["Study"], object] = lambda s: True) -> When:
    return When(said, lambda s: bool(s.rows and holds(s)))


def _of_tissue(said: str, holds: Callable[[Colorectal], object] = lambda c: True) -> When:
    return When(f"`colorectal:`{said}", lambda s: bool(s.colorectal and holds(s.colorectal)))


ALL = When("", lambda s: True)
CELLS = _of_rows("")
POOLED = _of_rows("schemes of all domains", lambda s: s.all_domain_blocks)
CURVES = _of_rows("several fractions", lambda s: s.all_domain_blocks and len(s.fractions) > 1)
CROSSED = _of_rows("schemes `from_*`", lambda s: s.cross_domain_blocks)
BY_SCANNER = _of_rows("schemes `from_scanner_*`", lambda s: s.cross_scanner_blocks)
SPLIT = _of_rows("`variance_split:`", lambda s: s.config["variance_split"])
HEADS = _of_rows("several heads a model", lambda s: s.cross_domain_blocks and s.multi_head_rows)
MATCHED = _of_rows("schemes `…_matched`", lambda s: s.matched_blocks)
LISTED = _of_rows("scheme `predefined`", lambda s: s.predefined_blocks)
SWEPT = _of_rows("`context:`", lambda s: s.context)
COMPARED = _of_rows("`robustness:`", lambda s: s.config["robustness"])
RECALIBRATED = _of_rows("`recalibration:`", lambda s: s.recalibration)
RESOLVED = _of_rows("`context:` with `resolutions`", lambda s: s.resolutions)
EXTERNAL = _of_rows("`external:`", lambda s: s.config["external"])
RATED = _of_rows("a dataset with `raters:`", lambda s: s.rated)
TISSUE = _of_tissue("")
SLIDES = _of_tissue(" with slides", lambda c: c.cohorts)
PATCHES = _of_tissue(" with patches", lambda c: c.sets)
COURSE = _of_tissue(" with `figure2`", lambda c: c.figure2_checkpoints)
FIGURE = "csv pdf png"
STATISTICS = "[statistics.md](../results/statistics.md)"
COSTS_PAGE = "[Context and costs](../results/context-and-costs.md)"


@dataclass(frozen=True)
class Product:
    """A table or figure."""

    section: str
    stem: str  # its path without ending
    title: str
    rules: dict[str, str]  # endings, in one string, to the rule that makes them
    when: When
    caption: str  # code in single backticks
    columns: str = ""  # of its CSV, for the documentation

    @property
    def files(self) -> dict[str, str]:
        """Each of its files, with the rule that makes it."""
        pairs = [(end, rule) for ends, rule in self.rules.items() for end in ends.split()]
        return {f"{self.stem}.{end}": rule for end, rule in pairs}
