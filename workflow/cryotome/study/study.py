"""Study: the rows, datasets and schemes of a config, and the runs that follow from them."""

from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property

from cryotome.study.colorectal import finetune_bases
from cryotome.study.products import products_of
from cryotome.study.row import LAST, Row
from cryotome.study.scanners import parted_scanners
from cryotome.study.schemes import Scheme
from cryotome.study.study_datasets import StudyDatasets
from cryotome.study.styles import Style, model_styles
from cryotome.study.variants import has_network, pooling_variants


@dataclass(frozen=True)
class Study(StudyDatasets):
    """A config and the cards that it names; `checks.checked_study` makes one that is valid."""

    @property
    def reference(self) -> str:
        """Key of the row that all others are compared with: the first row by default."""
        row = self.config["reference"] or next(iter(self.config["rows"]), None)
        return Row(row["model"], row["head"]).key if row else ""

    @cached_property
    def models(self) -> list[str]:
        """Every encoder that the study runs, and those that finetuned ones start from."""
        names = [row.model for row in self.rows]
        names += finetune_bases(names, self.model, self.finetuning)
        return list(dict.fromkeys(names + (self.colorectal.models if self.colorectal else [])))

    @cached_property
    def styles(self) -> dict[str, Style]:
        """Every model's colour and mark, which no figure gives to another."""
        carded = [name for name in self.models if self.has_card("models", name)]
        said = {name: self.model(name).get("style") for name in carded}
        return model_styles(self.models, {name: look for name, look in said.items() if look})

    @cached_property
    def rows(self) -> list[Row]:
        """The rows in table order; heads that read patches have the view `patches`."""
        return [
            Row(model, row["head"], "patches" if self.is_trainable(row["head"]) else self.view)
            for row in self.config["rows"]
            for model in self.poolings_of(row["model"])
        ]

    def poolings_of(self, model: str) -> list[str]:
        """Return a model of the config under every pooling that the study sweeps."""
        hows = self.context["poolings"] if self.context else []
        return pooling_variants(model, self.model(model), hows) if hows else [model]

    def schemes(self, dataset: str) -> list[str]:
        """Return the schemes of one dataset, `from_*`, `except_*`, `except_*_matched` spelt out.

        These give one scheme per domain, and none where there is one domain only: nothing
        would be left to test on, or to train on. `from_scanner_*` and `except_scanner_*` give
        one per scanner, and none where scanners cannot be parted from domains.
        """
        card = self.dataset(dataset)
        known = list(card["domains"]), list(parted_scanners(card))
        for name in self.config["schemes"]:
            self.scheme(name)
        asked = map(Scheme.parse, self.config["schemes"])
        return [str(scheme) for one in asked for scheme in one.of(*known)]

    def training_fractions(self, scheme: str, head: str = "") -> list[str]:
        """Return the training fractions of a scheme, or of a head in it, as they stand in paths."""
        if Scheme.parse(scheme).is_whole:
            return ["1.0"]
        if head and self.is_trainable(head) and "trained_fractions" in self.config:
            return _in_paths(self.config["trained_fractions"])
        return self.fractions

    def recalibrated_fractions(self, scheme: str, head: str = "") -> list[str]:
        """Return the fractions at which a head's scores are recalibrated: all, if it is a probe.

        Schemes that train on one domain, or on all but one, take 1.0 alone in other products.
        """
        named = Scheme.parse(scheme)
        whole = not named.domain or named.matched or self.is_trainable(head)
        return self.training_fractions(scheme, head) if whole else self.fractions

    @property
    def fractions(self) -> list[str]:
        """The study's training fractions as they stand in paths."""
        return _in_paths(self.config["fractions"])

    @cached_property
    def blocks(self) -> list[tuple[str, str]]:
        """All (dataset, scheme) pairs of the study."""
        return [(name, scheme) for name in self.datasets for scheme in self.schemes(name)]

    @cached_property
    def stores(self) -> list[tuple[str, str, str]]:
        """Dataset, view and model of every store that a network embeds."""
        seen = [(row.view, row.model) for row in self.rows if not self.is_trainable(row.head)]
        networks = [pair for pair in dict.fromkeys(seen) if has_network(self.model(pair[1]))]
        datasets = dict.fromkeys([*self.datasets, *self.config["external"]])
        return [(name, *pair) for name in datasets for pair in networks]

    @cached_property
    def cross_domain_blocks(self) -> list[tuple[str, str]]:
        """The pairs that train on one domain: Table 2 and Figure 2."""
        return [
            (name, scheme) for name, scheme in self.blocks if Scheme.parse(scheme).is_cross_domain
        ]

    @cached_property
    def scanner_blocks(self) -> list[tuple[str, str]]:
        """The pairs that split by scanner."""
        return [block for block in self.blocks if Scheme.parse(block[1]).is_by_scanner]

    @cached_property
    def cross_scanner_blocks(self) -> list[tuple[str, str]]:
        """The pairs that train on one scanner: Figure 2 by scanner."""
        return [block for block in self.scanner_blocks if Scheme.parse(block[1]).is_from_one]

    @cached_property
    def matched_blocks(self) -> list[tuple[str, str]]:
        """The pairs that train at the ladder's common size."""
        return [(name, scheme) for name, scheme in self.blocks if Scheme.parse(scheme).matched]

    @cached_property
    def predefined_blocks(self) -> list[tuple[str, str]]:
        """The pairs whose test cells the authors of the dataset chose."""
        return [block for block in self.blocks if self.training_list(*block)]

    @cached_property
    def all_domain_blocks(self) -> list[tuple[str, str]]:
        """The pairs that train on all domains and know fractions: Figure 1."""
        return [block for block in self.blocks if not Scheme.parse(block[1]).is_whole]

    @cached_property
    def products(self) -> list[str]:
        """File names of everything that the study makes for people."""
        return products_of(self)

    @cached_property
    def multi_head_rows(self) -> list[Row]:
        """The rows of models that several heads read, where there are two such models or more.

        Their order under each head is shown.
        """
        frozen = [row for row in self.rows if not self.is_trainable(row.head)]
        counts = Counter(row.model for row in frozen)
        found = [row for row in frozen if counts[row.model] > 1]
        return found if len({row.model for row in found}) > 1 else []

    @property
    def trainings(self) -> int:
        """Training jobs; the best and the last checkpoint come from one."""
        trained = [row for row in self.rows if self.is_trainable(row.head)]
        jobs = {(row.model, row.head.removesuffix(LAST)) for row in trained}
        return sum(self.runs_of(head) for _, head in jobs)

    @property
    def runs(self) -> int:
        """Row-runs: predictions files of all rows, blocks, fractions and folds."""
        return sum(self.runs_of(row.head) for row in self.rows)

    def runs_of(self, head: str = "") -> int:
        """Return the runs of a row with this head, or the splits of the study without one."""
        shares = (self.training_fractions(scheme, head) for _, scheme in self.blocks)
        return sum(map(len, shares)) * len(self.folds)

    def label(self, row: Row) -> str:
        """Return the row's name for people, random weights named as such."""
        model, head = self.model(row.model), self.head(row.head)
        return f"{model['title']} + {head['title']}"


def _in_paths(shares: list[float]) -> list[str]:
    return [f"{Decimal(str(float(share))):f}" for share in shares]
