"""Which cards meet in a study, and the files that follow from it."""

import json
import re
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

from cryotome.core.cards import (
    FOLDS,
    MATCHED,
    NAME,
    Card,
    load_card,
    read_yaml,
    required_keys,
    titles_apart,
    validate,
    without_notes,
)
from cryotome.core.errors import CardError
from cryotome.study import colorectal
from cryotome.study.colorectal import Colorectal, checkpoint_of, finetune_bases, iterations
from cryotome.study.geometry import geometry_of, input_side
from cryotome.study.statistical_unit import check_named, check_scheme, is_unknown
from cryotome.study.styles import Style, model_styles, row_styles
from cryotome.study.variants import (
    NO_POOLING,
    crop_of,
    crop_variants,
    pooling_of,
    pooling_variants,
    with_crop,
    with_pooling,
)


def _drawn(name: str) -> list[str]:
    return [f"{name}.{kind}" for kind in ("csv", "pdf", "png")]


ALWAYS = ["table1.csv", "intervals.csv", "comparisons.csv", "variances.csv", "published.csv"]
CURVES = ["learning.csv", "crossings.csv", "learning.pdf", "learning.png"]
CROSSED = ["table2.csv", "table2.md", "table2.tex", "table2_sd.csv"]
CROSSED += [*_drawn("figure2"), *_drawn("ranks")]
CLINIC = [*_drawn("reliability"), "calibration.csv", "counts.csv", "agreement.csv"]
CLINIC += ["operating.csv", "bland_altman.pdf", "bland_altman.png"]
LADDER, ORDERS = [*_drawn("ladder"), "ladder.md"], _drawn("orders")
CONTEXT = _drawn("context")
COSTS = ["ledger.csv", "costs.csv", "cost_auroc.pdf", "cost_auroc.png"]
PRODUCTS = [*ALWAYS, *_drawn("figure1"), *CURVES, *CROSSED, *ORDERS, *LADDER, *CLINIC, *CONTEXT]
PRODUCTS += [*COSTS, *colorectal.PRODUCTS]
# what is done with an oddity that the audit finds, where a dataset's card does not say
POLICIES: Card = {"duplicate": "keep", "conflict": "refuse", "near": "keep", "near_px": 25}
POLICIES |= {"outside": "refuse", "broken": "refuse"}
MEANING = {  # of the findings, for people
    "broken": "cells on images that cannot be read",
    "outside": "centres outside their image",
    "border": "windows across the border",
    "duplicate": "exact duplicates",
    "conflict": "exact duplicates with another label",
    "near": "near pairs",
    "enlarged": "patches enlarged from a coarser image",
}
# the leakage ladder, from the least strict: schemes that have a `_matched` form
RUNGS = ["random", "no_overlap", "slide_grouped", "except_*"]
DOMAINS = {"from_": "from_domain", "except_": "except_domain"}  # prefix to card
# schemes that know the fraction 1.0 only, and those that know a study's fractions
WHOLE = r"(from|except)_[a-z0-9_]+|[a-z0-9_]+_matched"
SHARED = r"(?!from_|except_)[a-z0-9_]+(?<!_matched)"
UNKNOWN_PATIENTS = 100  # of a cohort whose card expects no number
LAST = "_last"  # `e2e_last` is the last checkpoint of the training that makes `e2e`


@dataclass(frozen=True)
class Row:
    """One line of a table: a model card and a head card, seen through a view."""

    model: str
    head: str
    view: str


def _task(card: Card) -> str:
    negative, positive = (entry["name"] for entry in card["classes"])
    return f"{card['title']}: {positive} against {negative}"


def _only(merged: Any, said: list[Any]) -> Any:
    """Return a merged block without the keys that none of the blocks `said` has."""
    blocks = [block for block in said if isinstance(block, dict)]
    if not isinstance(merged, dict) or not blocks:
        return merged
    below = {key: [block[key] for block in blocks if key in block] for key in merged}
    return {key: _only(value, below[key]) for key, value in merged.items() if below[key]}


def _prefix(scheme: str) -> str:
    """Return `from_` or `except_` where a scheme's name begins so, else nothing."""
    return next((prefix for prefix in DOMAINS if scheme.startswith(prefix)), "")


@dataclass(frozen=True)
class Study:
    """A checked config and the folder of cards that it speaks of.

    Raises
    ------
    CardError
        The config or one of its cards is wrong; the text names file and key.
    """

    config: Card
    folder: Path
    files: tuple[str, ...] = ()  # where the config was read from, for messages

    def __post_init__(self) -> None:
        object.__setattr__(self, "config", self._own_colorectal())
        where = f"{' + '.join(self.files)} study {self.config.get('study', '(unnamed)')!r}"
        validate(self.config, "config", where.strip())
        self._check_nothing_leaks_in()
        for name in self.datasets:
            classes = len(self.dataset(name).get("classes", []))
            if classes != 2:
                raise CardError(
                    f"study {self.name!r}, datasets: {name} has {classes or 'no'} classes, where "
                    "a mitotic figure is told from its look-alike. It belongs into `colorectal`."
                )
        for name in self.models:
            self.model(name)
        self._check_colorectal()
        self._check_context()
        self._check_slides()
        for row in self.rows:
            has_network = "architecture" in self.model(row.model)
            if self.trains(row.head) and not has_network:
                raise CardError(
                    f"study {self.name!r}, rows: {row.model} has no network that {row.head} could "
                    "train. Give it a head on embeddings."
                )
        listed = [{"model": row.model, "head": row.head} for row in self.rows]
        for row in self.config["figure2"]:
            if row not in listed:
                raise CardError(f"study {self.name!r}, figure2: {row} is none of its `rows`.")
        drawn = {scheme for _, scheme in self.blocks}
        if self.ladder and len(self.folds) > FOLDS:
            raise CardError(
                f"study {self.name!r}, folds: schemes `…{MATCHED}` have a common size for {FOLDS} "
                "folds. Ask for no more, or leave these schemes out."
            )
        for scheme in self.config["schemes"]:
            if scheme not in drawn and "*" not in scheme:
                what = "trains on" if scheme.startswith("from_") else "leaves out"
                raise CardError(
                    f"study {self.name!r}, schemes: {scheme!r} {what} a domain that none of "
                    f"{self.datasets} has."
                )

    def _check_slides(self) -> None:
        """Stop what asks for slides of a dataset that has none to tell."""
        for name in self.all_datasets:
            check_named(self.dataset(name), name)
        for name, scheme in self.blocks:
            check_scheme(self.dataset(name), name, scheme, self.scheme(scheme)["draw"])
        for row in self.rows * bool(self.unknown_slides):
            by_slide = self.model(row.model).get("loader") == "slide_identity"
            if by_slide or self.head(row.head)["learner"] == "prevalence":
                raise CardError(
                    f"study {self.name!r}, rows: {row.model} + {row.head} scores cells by their "
                    f"slide, and the card of {self.unknown_slides[0]!r} says `slides: unknown`. "
                    "Leave the row out, or name the slides."
                )
        made = [self.model(model).get("weights") for model in self.models]
        for name in {w["finetune"] for w in made if isinstance(w, dict) and "finetune" in w}:
            card = self.finetuning(name)
            if card["split"] == "train_folds":  # of patches the split `slide_grouped`
                used = self.dataset(card["dataset"])
                check_scheme(used, card["dataset"], "slide_grouped", "slides")

    def _check_context(self) -> None:
        """Stop a sweep of rows that see patches as they are cut, never enlarged."""
        trained = [row.head for row in self.rows if self.context and self.trains(row.head)]
        if trained:
            raise CardError(
                f"study {self.name!r}, context: {trained[0]} trains on patches as they are cut, so "
                "its crops would differ in size too. Give the sweep heads on embeddings."
            )

    def _check_colorectal(self) -> None:
        """Stop heads and datasets that stand in the wrong task of paper 002's part."""
        part = self.colorectal
        if part is None:
            return
        learner = {n: self.head(n)["learner"] for n in [*part.patch_heads, *part.slide_heads]}
        wrong = [n for n in part.slide_heads if learner[n] != "mil"]
        wrong += [n for n in part.patch_heads if learner[n] in ("mil", "endtoend")]
        wrong += [n for n in part.sets if "classes" not in self.dataset(n)]
        wrong += [n for n in part.cohorts if self.dataset(n)["reader"] != "slides"]
        if wrong:
            raise CardError(
                f"study {self.name!r}, colorectal: {wrong} stand in the wrong task. `slides` takes "
                "cohorts (reader `slides`) and heads with the learner `mil`, `patches` takes class "
                "folders and heads on embeddings."
            )
        if len(set(part.cohorts)) < len(part.cohorts):
            raise CardError(
                f"study {self.name!r}, colorectal: {part.cohorts} names a cohort twice. A cohort "
                "is not external to itself."
            )
        for _, models, name in part.embedded[len(part.sets) :]:
            self._check_bags(name, models)

    def _check_bags(self, cohort: str, models: list[str]) -> None:
        """Stop a cohort without slides whose bags are not all given, and bags of no model."""
        card = self.dataset(cohort)
        for name in card.get("bags", {}):
            if not self._has_card("models", name):
                raise CardError(
                    f"The card of {cohort}, bags: there is no model card {name!r}. Bags are given "
                    "by the name of the model whose features they hold (docs/add-a-model.md)."
                )
        if models and not {"images", "tiles"} <= set(card):
            raise CardError(
                f"study {self.name!r}: {cohort} has no slides to embed (`images:` and `tiles:` of "
                f"its card) and no bags of {', '.join(models)}. Name these in `bags:`, or leave "
                "them out of the `rows` and `control` of `colorectal`."
            )

    def _check_nothing_leaks_in(self) -> None:
        """Stop a study that leaves keys to the demo, which Snakemake would merge in."""
        lacking = [key for key in required_keys("config") if key not in self._said]
        if self.others and lacking:
            raise CardError(
                f"{' + '.join(self.others)} lacks {lacking}. A study says every key itself; "
                "nothing may come from the demo in config/config.yaml, which shows what they "
                "look like."
            )

    def _own_colorectal(self) -> Card:
        """Return the config with what the study's own files say of `colorectal`.

        Snakemake merges blocks key by key, so what a study leaves out would be the demo's.
        """
        said = [block for f in self.others if (block := read_yaml(Path(f)).get("colorectal"))]
        if not said or not isinstance(self.config.get("colorectal"), dict):
            return self.config
        return self.config | {"colorectal": _only(self.config["colorectal"], said)}

    @cached_property
    def others(self) -> list[str]:
        """The files of the study that are not the demo's."""
        demo = (self.folder / "config.yaml").resolve()
        return [file for file in self.files if Path(file).resolve() != demo]

    @cached_property
    def _said(self) -> Card:
        """What those files say."""
        return {k: v for file in self.others for k, v in read_yaml(Path(file)).items()}

    @property
    def name(self) -> str:
        return self.config["study"]

    @property
    def context(self) -> Card | None:
        """The crops and poolings that every dataset and model of the study is run with."""
        return self.config.get("context")

    @cached_property
    def datasets(self) -> list[str]:
        names = self.config["datasets"]
        if not self.context:
            return names
        sides = self.context["sides"]
        return [crop for name in names for crop in crop_variants(name, self.dataset(name), sides)]

    @property
    def _drawn(self) -> list[dict[str, str]]:
        """The rows of Figure 2, the reference first; where none is said, the first row."""
        return self.config["figure2"] or self.config["rows"][:1]

    @property
    def folds(self) -> list[int]:
        return list(range(self.config["folds"]))

    @cached_property
    def _cards(self) -> dict[tuple[str, str], Card]:
        return {}

    def _card(self, kind: str, name: str) -> Card:
        """Return a card, read and checked once: planning asks for it once a job and rule."""
        if (kind, name) not in self._cards:
            self._cards[kind, name] = load_card(self.folder, kind, name)
        return dict(self._cards[kind, name])

    def model(self, name: str) -> Card:
        """Return a model card; `{model}_at_{iteration}` is a checkpoint of a finetuned model.

        `{model}_pool_{pooling}` pools otherwise.
        """
        pooling = pooling_of(name)
        if pooling and not self._has_card("models", name):
            return with_pooling(self.model(pooling[0]), pooling[1], name)
        at = checkpoint_of(name)
        if at is None:
            return self._card("models", name)
        card = self._card("models", at[0])
        done = iterations(self.finetuning(card["weights"].get("finetune", at[0])))
        if at[1] not in done:
            raise CardError(f"Model {name!r}: {at[0]} is exported after iterations {done} alone.")
        weights = card["weights"] | {"iteration": at[1]}
        return card | {"title": f"{card['title']}, iteration {at[1]:,}", "weights": weights}

    def finetuning(self, name: str) -> Card:
        """Return a recipe of finetuning."""
        return self._card("finetunes", name)

    @cached_property
    def colorectal(self) -> Colorectal | None:
        """The part that is paper 002's, None where the study's own files do not speak of it."""
        block = self.config.get("colorectal")
        if block is None or (self.others and "colorectal" not in self._said):
            return None
        cards = {"model": self.model, "dataset": self.dataset, "finetuning": self.finetuning}
        view, folds = self.config["views"][0], self.folds
        return Colorectal(block, view, folds, self.name, self._model_looks, **cards)

    @cached_property
    def all_datasets(self) -> list[str]:
        """The datasets of both papers' parts."""
        more = self.colorectal.datasets if self.colorectal else []
        return list(dict.fromkeys([*self.datasets, *more]))

    @cached_property
    def models(self) -> list[str]:
        """Every encoder that the study runs, and those that finetuned ones start from."""
        names = [row.model for row in self.rows]
        names += finetune_bases(names, self.model, self.finetuning)
        return list(dict.fromkeys(names + (self.colorectal.models if self.colorectal else [])))

    def _model_looks(self) -> dict[str, Style]:
        return self.looks

    @cached_property
    def looks(self) -> dict[str, Style]:
        """Every model's colour and mark, which no figure gives to another."""
        carded = [name for name in self.models if self._has_card("models", name)]
        said = {name: self.model(name).get("look") for name in carded}
        return model_styles(self.models, {name: look for name, look in said.items() if look})

    def dataset(self, name: str) -> Card:
        """Return a dataset card; `{dataset}_{n}px` is another crop of its cells."""
        crop = self._crop(name)
        if crop and ("datasets", name) not in self._cards:
            self._cards["datasets", name] = with_crop(self.dataset(crop[0]), crop[1], name)
        return self._card("datasets", name)

    def given_bags(self, dataset: str, model: str) -> Card | None:
        """Return what bags that another program made must agree with; None where none are given.

        See `foreign.read_foreign`.
        """
        card = self.dataset(dataset)
        given = card.get("bags", {}).get(model)
        if given is None:
            return None
        encoder = self.model(model)
        weights = encoder["weights"] if isinstance(encoder["weights"], dict) else {}
        hub = str(weights.get("hub", ""))
        names = [model, hub, hub.rpartition("/")[2]]
        return {
            "where": f"the card of {dataset}",
            "model": model,
            "names": list(dict.fromkeys(name for name in names if name)),
            "dim": encoder["dim"],
            "tiling": card.get("tiles", {}).get("classify"),
            "says": given.get("says", {}),
        }

    def separate(self, cohorts: list[str]) -> list[str]:
        """Return the external ones of these cohorts whose patients are none of the first's."""
        said = [name for name in cohorts if self.dataset(name).get("separate_patients")]
        return cohorts[1:] if cohorts[0] in said else said

    def home(self, dataset: str) -> str:
        """Return the dataset that decides a dataset's splits: of a crop what it is cut from.

        Its audit says which cells are left out, its windows which cells share pixels: the same
        for all crops, so that these have the same cells in the same roles.
        """
        crop = self._crop(dataset)
        return crop[0] if crop else dataset

    def _crop(self, dataset: str) -> tuple[str, int] | None:
        """Return what a crop's name says, None for a dataset that has a card."""
        found = crop_of(dataset)
        return None if found and self._has_card("datasets", dataset) else found

    def _has_card(self, kind: str, name: str) -> bool:
        return (self.folder / kind / f"{name}.yaml").exists()

    def record(self, name: str) -> Card:
        """Return the card of a public record."""
        return self._card("downloads", name)

    @property
    def records(self) -> list[str]:
        """The public records that hold the study's datasets."""
        said = [self.dataset(name).get("download", []) for name in self.all_datasets]
        lists = [[one] if isinstance(one, str) else one for one in said]
        return list(dict.fromkeys(name for names in lists for name in names))

    def head(self, name: str) -> Card:
        """Return a head card; `{head}_last` is the last checkpoint of an end-to-end head."""
        card = self._card("heads", name.removesuffix(LAST))
        if name.endswith(LAST):
            if card["learner"] != "endtoend":
                raise CardError(f"Head {name!r}: only end-to-end heads have a last checkpoint.")
            card["title"] += ", last checkpoint"
        return card

    def scheme(self, name: str) -> Card:
        """Return a scheme card; `from_{domain}` has the card `from_domain`, `except_` likewise.

        `{scheme}_matched` has the card of its scheme, which must be a rung of the ladder.
        """
        base = name.removesuffix(MATCHED)
        prefix = _prefix(base)
        card = self._card("schemes", DOMAINS.get(prefix, base))
        if name != base:
            if (f"{prefix}*" if prefix else base) not in RUNGS:
                raise CardError(f"Scheme {name!r}: only {RUNGS} have a common training size.")
            card["title"] += ", equal training size"
        return card

    def draw(self, dataset: str, scheme: str) -> str:
        """Return what decides a split as JSON: the card, of a matched scheme every rung's too."""
        card = self.scheme(scheme)
        if not scheme.endswith(MATCHED):
            return without_notes(card)
        rungs = [*RUNGS[:-1], *(f"except_{domain}" for domain in self.dataset(dataset)["domains"])]
        return without_notes(card | {"ladder": {rung: self.scheme(rung) for rung in rungs}})

    def needs_windows(self, scheme: str) -> bool:
        """Whether a scheme asks which cells share pixels; a common size asks it of a rung."""
        return scheme.endswith(MATCHED) or self.scheme(scheme)["draw"] == "cells_apart"

    def policies(self, dataset: str) -> Card:
        """Return what is done with each finding of a dataset's audit: keep, drop or refuse."""
        card = self.dataset(dataset)
        border = {"border": "drop" if card["patch"]["border"] == "drop" else "keep"}
        return POLICIES | border | card.get("audit", {})

    def drops(self, dataset: str) -> str:
        """Return the findings whose cells enter no split of a dataset, separated by spaces."""
        return " ".join(k for k, v in sorted(self.policies(dataset).items()) if v == "drop")

    def is_lower(self, model: str, view: str) -> bool:
        """Whether a network computes in less than fp32 in this view."""
        return "architecture" in self.model(model) and not view.endswith("fp32")

    @cached_property
    def unknown_slides(self) -> list[str]:
        """The datasets of whose images no slide is known."""
        return [name for name in self.all_datasets if is_unknown(self.dataset(name))]

    @cached_property
    def synthetic(self) -> bool:
        """Whether every dataset of this study is invented tissue."""
        return all("synthetic" in self.dataset(name) for name in self.all_datasets)

    @cached_property
    def rows(self) -> list[Row]:
        """The rows in table order; heads that read patches have the view `patches`."""
        view = self.config["views"][0]
        return [
            Row(model, row["head"], "patches" if self.trains(row["head"]) else view)
            for row in self.config["rows"]
            for model in self._pooled(row["model"])
        ]

    def _pooled(self, model: str) -> list[str]:
        """Return a model of the config under every pooling that the study sweeps."""
        hows = self.context["poolings"] if self.context else []
        return pooling_variants(model, self.model(model), hows) if hows else [model]

    @cached_property
    def sweep(self) -> str:
        """What the context study varies, as JSON: crops of datasets, poolings of models."""
        crop = {name: self.dataset(name)["patch"]["side"] for name in self.datasets}
        about = {
            "poolings": self.context["poolings"] if self.context else [],
            "crops": {name: (self.home(name), side) for name, side in crop.items()},
            "bases": {self.home(name): self._geometry(self.home(name)) for name in crop},
            "models": {
                name: (row["model"], self.model(name).get("pooling", NO_POOLING))
                for row in self.config["rows"]
                for name in self._pooled(row["model"])
            },
            "titles": {
                row["model"]: self.model(row["model"])["title"] for row in self.config["rows"]
            },
        }
        return json.dumps(about)

    def trains(self, head: str) -> bool:
        """Whether a head trains a network on patches instead of fitting embeddings."""
        return self.head(head)["learner"] == "endtoend"

    def schemes(self, dataset: str) -> list[str]:
        """Return the schemes of one dataset, `from_*`, `except_*`, `except_*_matched` spelt out.

        These give one scheme per domain, and none where there is one domain only: nothing
        would be left to test on, or to train on.
        """
        domains = list(self.dataset(dataset)["domains"])
        names: list[str] = []
        for scheme in self.config["schemes"]:
            self.scheme(scheme)
            prefix, end = _prefix(scheme), MATCHED * scheme.endswith(MATCHED)
            domain = scheme.removeprefix(prefix).removesuffix(end)
            if not prefix:
                names.append(scheme)
            elif domain == "*":
                names += [prefix + one + end for one in domains] if len(domains) > 1 else []
            elif domain in domains:
                names.append(scheme)
        return names

    def fractions(self, scheme: str) -> list[str]:
        """Return the training fractions of a scheme as they stand in paths."""
        return ["1.0"] if _prefix(scheme) or scheme.endswith(MATCHED) else self.shares

    @property
    def shares(self) -> list[str]:
        """The study's training fractions as they stand in paths."""
        return [f"{Decimal(str(float(share))):f}" for share in self.config["fractions"]]

    @cached_property
    def blocks(self) -> list[tuple[str, str]]:
        """All (dataset, scheme) pairs of the study."""
        return [(name, scheme) for name in self.datasets for scheme in self.schemes(name)]

    @cached_property
    def stores(self) -> list[tuple[str, str, str]]:
        """Dataset, view and model of every store that a network embeds."""
        seen = [(row.view, row.model) for row in self.rows if not self.trains(row.head)]
        networks = [pair for pair in dict.fromkeys(seen) if "architecture" in self.model(pair[1])]
        return [(name, *pair) for name in self.datasets for pair in networks]

    @cached_property
    def crossing(self) -> list[tuple[str, str]]:
        """The pairs that train on one domain: Table 2 and Figure 2."""
        return [(name, scheme) for name, scheme in self.blocks if scheme[:5] == "from_"]

    @cached_property
    def ladder(self) -> list[tuple[str, str]]:
        """The pairs that train at the ladder's common size."""
        return [(name, scheme) for name, scheme in self.blocks if scheme.endswith(MATCHED)]

    @cached_property
    def pooled(self) -> list[tuple[str, str]]:
        """The pairs that train on all domains and know fractions: Figure 1."""
        whole = {*self.crossing, *self.ladder}
        return [block for block in self.blocks if block not in whole and not _prefix(block[1])]

    @cached_property
    def products(self) -> list[str]:
        """File names of everything that the study makes for people."""
        figure1, crossed = _drawn("figure1") * bool(self.pooled), CROSSED * bool(self.crossing)
        curves = CURVES * bool(self.pooled and len(self.config["fractions"]) > 1)
        orders = ORDERS * bool(self.crossing and self.probed)
        cells = [*ALWAYS, *figure1, *curves, *crossed, *orders, *LADDER * bool(self.ladder)]
        cells += [*CLINIC, *CONTEXT * bool(self.context)]
        more = self.colorectal.products if self.colorectal else []
        costs = COSTS if self.rows else COSTS[:1]  # of rows there are none to draw
        return [*(cells * bool(self.rows)), *costs, *more]

    @cached_property
    def probed(self) -> list[Row]:
        """The rows of models that several heads read, where there are two such models or more.

        Their order under each head is shown.
        """
        frozen = [row for row in self.rows if not self.trains(row.head)]
        counts = Counter(row.model for row in frozen)
        found = [row for row in frozen if counts[row.model] > 1]
        return found if len({row.model for row in found}) > 1 else []

    @cached_property
    def families(self) -> dict[str, list[str]]:
        """Row to the rows that differ from it in the training seed alone, itself included.

        Empty for heads without a seed: their optimum is unique.
        """
        kinds = {
            f"{row.model} + {row.head}": (
                row.model,
                row.head.endswith(LAST),
                without_notes({k: v for k, v in self.head(row.head).items() if k != "seed"}),
            )
            for row in self.rows
        }
        trained = {f"{row.model} + {row.head}" for row in self.rows if self.trains(row.head)}
        return {
            name: [other for other in kinds if kinds[other] == kind] if name in trained else []
            for name, kind in kinds.items()
        }

    def product(self, name: str) -> str:
        """Return the name of a table or figure, if the study makes it.

        Raises
        ------
        CardError
            The study's schemes do not give that table or figure.
        """
        if name not in self.products:
            raise CardError(f"study {self.name!r} has no scheme that {name} is made from.")
        return name

    @cached_property
    def encoders(self) -> str:
        """The model cards of the rows as JSON, in table order."""
        return json.dumps({row.model: self.model(row.model) for row in self.rows})

    @cached_property
    def table_rows(self) -> str:
        """What tables and figures say of rows and datasets, as JSON."""
        datasets = {name: self.dataset(name) for name in self.datasets}
        titles = titles_apart({name: card["title"] for name, card in datasets.items()})
        about = {
            "order": [(row.model, row.head) for row in self.rows],
            "labels": {f"{row.model} + {row.head}": self.label(row) for row in self.rows},
            "datasets": {n: _task(card | {"title": titles[n]}) for n, card in datasets.items()},
            "domains": {
                name: {domain: entry["title"] for domain, entry in card["domains"].items()}
                for name, card in datasets.items()
            },
            "homes": {  # domains trained on one at a time
                name: [scheme[5:] for block, scheme in self.crossing if block == name]
                for name in datasets
            },
            "synthetic": [name for name, card in datasets.items() if "synthetic" in card],
            "notice": next((c["synthetic"] for c in datasets.values() if "synthetic" in c), ""),
            "schemes": {scheme: self.scheme(scheme)["title"] for _, scheme in self.blocks},
            "fractions": [float(share) for share in self.config["fractions"]],
            "folds": self.folds,
            "figure2": [(row["model"], row["head"]) for row in self._drawn],
            "rungs": {
                f"except_*{MATCHED}" if _prefix(scheme) else scheme: self.scheme(scheme)["title"]
                for _, scheme in self.ladder
            },
            "probed": [(row.model, row.head) for row in self.probed],
            "heads": {row.head: self.head(row.head)["title"] for row in self.rows},
            "looks": {
                name: vars(look)
                for name, look in row_styles(
                    ((row.model, row.head) for row in self.rows), self.looks
                ).items()
            },
            "models": {row.model: self.model(row.model)["title"] for row in self.rows},
            "families": self.families,
            "statistics": self.config["statistics"],
        }
        unknown = [name for name in datasets if name in self.unknown_slides]
        return json.dumps(about | ({"unknown_slides": unknown} if unknown else {}))

    def _geometry(self, dataset: str) -> Card:
        """Return what a dataset's card says of its images' place and resolution, and its title."""
        said = ("title", "synthetic", "images", "patch", "mpp", "mpp_overrides_file")
        return {key: value for key, value in self.dataset(dataset).items() if key in said}

    def heads(self, *, trains: bool) -> str:
        """Return a regular expression of the head cards that do, or do not, train a network."""
        names = sorted(path.stem for path in (self.folder / "heads").glob("*.yaml"))
        named = [name for name in names if re.fullmatch(NAME, name)]
        return "|".join(name for name in named if self.trains(name) == trains)

    @property
    def trainings(self) -> int:
        """Training jobs; the best and the last checkpoint come from one."""
        jobs = {(r.model, r.head.removesuffix(LAST)) for r in self.rows if self.trains(r.head)}
        return len(jobs) * self.runs_per_row

    @property
    def runs(self) -> int:
        """Row-runs: predictions files of all rows, blocks, fractions and folds."""
        return len(self.rows) * self.runs_per_row

    @property
    def runs_per_row(self) -> int:
        return sum(len(self.fractions(scheme)) * len(self.folds) for _, scheme in self.blocks)

    def forward_gflop(self, model: str, view: str, dataset: str) -> float:
        """Estimate the GFLOP of one patch through a network; none for what is no network."""
        card, seen_by = self.model(model), self.dataset(dataset)
        side = (seen_by["patch"] if "patch" in seen_by else seen_by["tiles"]["classify"])["side"]
        if "gflops" not in card:
            return 0.0
        seen = geometry_of(card, view, side).seen
        return card["gflops"] * (seen / input_side(card)) ** 2

    def slides_expected(self, dataset: str) -> int:
        """Return about how many slides a cohort has: one a labelled patient."""
        return self.dataset(dataset).get("expect", {}).get("labelled", UNKNOWN_PATIENTS)

    @property
    def summary(self) -> str:
        """What it is, in words: rows and datasets, encoders and cohorts."""
        said, part = [], self.colorectal
        if self.rows:
            datasets = (f"{name} ({len(self.schemes(name))} schemes)" for name in self.datasets)
            said.append(
                f"{len(self.rows)} rows x {', '.join(datasets)}: {self.runs} row-runs, "
                f"{self.trainings} of them trainings"
            )
        if part:
            said.append(
                f"{len(part.rows)} encoders, {len(part.finetunings)} finetunings, on "
                + " and ".join(
                    f"{what} ({', '.join(names)})"
                    for what, names in (("patches", part.sets), ("slides", part.cohorts))
                    if names
                )
            )
        return "; ".join(said)

    def label(self, row: Row) -> str:
        """Return the row's name for people, random weights named as such."""
        model, head = self.model(row.model), self.head(row.head)
        return f"{model['title']} + {head['title']}"

    @cached_property
    def comparability(self) -> str:
        """What decides whether a number of this study may be held against a published one, as JSON.

        `schemes` are those of the config, where `from_*` stands for all domains.
        """
        models = {row.model: self.model(row.model)["weights"] for row in self.rows}
        about = {
            "study": self.name,
            "datasets": self.datasets,
            "synthetic": [name for name in self.datasets if "synthetic" in self.dataset(name)],
            "random": [m for m, w in models.items() if isinstance(w, dict) and "random" in w],
            "rows": [(row.model, row.head, row.view) for row in self.rows],
            "schemes": self.config["schemes"],
            "fractions": [float(share) for share in self.config["fractions"]],
            "folds": self.config["folds"],
        }
        return json.dumps(about)
