"""Colorectal part of a study (Roth et al. 2024): encoders on patches and on slides."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

from cryotome.core.cards import Card
from cryotome.core.errors import CardError

KINDS = ("patches", "slides")
PREDEFINED = "predefined"  # the scheme of patch classification
AT = re.compile(r"([a-z0-9_]+)_at_([0-9]+)")


def checkpoint_of(name: str) -> tuple[str, int] | None:
    """Return the model and the iteration that a checkpoint's name says, None for other models.

    >>> checkpoint_of("dinov2_s_nct_at_500"), checkpoint_of("dinov2_s_nct")
    (('dinov2_s_nct', 500), None)
    """
    found = AT.fullmatch(name)
    return (found[1], int(found[2])) if found else None


def iterations(card: Card) -> list[int]:
    """Return the iterations after which a finetuning exports its teacher, the last included."""
    return [*range(card["checkpoint_every"], card["stop_iteration"], card["checkpoint_every"]),
            card["stop_iteration"]]  # fmt: skip


def finetune_bases(
    names: Iterable[str], model: Callable[[str], Card], finetuning: Callable[[str], Card]
) -> list[str]:
    """Return the models that those of them start from which are finetuned here."""
    made = [model(name)["weights"] for name in names]
    return [finetuning(w["finetune"])["base"] for w in made if "finetune" in w]


@dataclass(frozen=True)
class Encoders:
    """One line of a table: what embeds the patches, and what embeds the tiles of slides."""

    patches: str
    slides: str


@dataclass(frozen=True)
class Colorectal:
    """The block `colorectal` of a config, checked.

    Attributes
    ----------
    block
        As it stands in the config.
    view
        How patches and tiles become vectors.
    folds
        Parts of five that are tested on.
    model, dataset, finetuning
        Return a card by its name.
    """

    block: Card
    view: str
    folds: list[int]
    model: Callable[[str], Card]
    dataset: Callable[[str], Card]
    finetuning: Callable[[str], Card]

    def __post_init__(self) -> None:
        for kind, name in self._figure2.items():
            if not self.block.get(kind):
                raise CardError(
                    f"colorectal, figure2: {name} is to be scored on {kind}, but the study has no "
                    f"`{kind}:`. Leave it out of `figure2`."
                )
            weights = self.model(name)["weights"]
            if "finetune" not in weights:
                raise CardError(
                    f"colorectal, figure2: {name} is not finetuned here (its card says `weights: "
                    f"{weights}`), so it has no checkpoints to be scored on the way."
                )

    @property
    def _figure2(self) -> dict[str, str]:
        return self.block.get("figure2") or {}

    @cached_property
    def rows(self) -> list[Encoders]:
        """The rows in table order, the control last."""
        said = [*self.block["rows"], *filter(None, [self.block.get("baseline")])]
        return [Encoders(row, row)
                if isinstance(row, str) else Encoders(**row) for row in said]  # fmt: skip

    @property
    def sets(self) -> list[str]:
        """The datasets of patches, that of training first; none without that part."""
        said = self.block.get("patches")
        return [said["train"], said["test"]] if said else []

    @property
    def train(self) -> str:
        return self.sets[0]

    @property
    def test(self) -> str:
        return self.sets[1]

    @property
    def patch_heads(self) -> list[str]:
        return (self.block.get("patches") or {}).get("heads", [])

    @property
    def cohorts(self) -> list[str]:
        """The cohort and the external ones; none where the study has no slides."""
        said = self.block.get("slides")
        return [said["cohort"], *self.external] if said else []

    @property
    def cohort(self) -> str:
        """The cohort; nothing where the study has no slides."""
        return next(iter(self.cohorts), "")

    @property
    def external(self) -> list[str]:
        said = (self.block.get("slides") or {}).get("external") or []
        return [said] if isinstance(said, str) else said

    @property
    def scheme(self) -> str:
        return (self.block.get("slides") or {}).get("scheme", "")

    @property
    def slide_heads(self) -> list[str]:
        return (self.block.get("slides") or {}).get("heads", [])

    @property
    def datasets(self) -> list[str]:
        return [*self.sets, *self.cohorts]

    def finetuning_checkpoints(self, name: str) -> dict[int, str]:
        """Return iteration to model of a finetuned encoder: what it started from, then checkpoints.

        The last is the encoder itself.
        """
        card = self.finetuning(self.model(name)["weights"]["finetune"])
        *before, last = iterations(card)
        return {0: card["base"]} | {n: f"{name}_at_{n}" for n in before} | {last: name}

    @cached_property
    def figure2_checkpoints(self) -> dict[str, dict[int, str]]:
        """The courses of Figure 2, of `patches` and of `slides`; none where it is not asked for."""
        return {kind: self.finetuning_checkpoints(name) for kind, name in self._figure2.items()}

    @cached_property
    def patch_models(self) -> list[str]:
        """The encoders of the rows, on patches."""
        return list(dict.fromkeys(row.patches for row in self.rows if self.sets))

    @cached_property
    def slide_models(self) -> list[str]:
        """The encoders of the rows, on slides."""
        return list(dict.fromkeys(row.slides for row in self.rows if self.cohorts))

    @cached_property
    def models(self) -> list[str]:
        """Every encoder of tables and figures, and those that finetuned ones start from."""
        tuned = self._figure2.values()
        named = dict.fromkeys([*self.patch_models, *self.slide_models, *tuned])
        return list(dict.fromkeys([*named, *finetune_bases(named, self.model, self.finetuning)]))

    @cached_property
    def embedding_requests(self) -> list[tuple[str, list[str], str]]:
        """Rule, encoders and dataset of everything that is embedded here, checkpoints too."""
        models = {"patches": self.patch_models, "slides": self.slide_models}
        wanted = {
            kind: list(
                dict.fromkeys([*models[kind], *self.figure2_checkpoints.get(kind, {}).values()])
            )
            for kind in KINDS
        }
        found = [("embed", wanted["patches"], name) for name in self.sets]
        for name in self.cohorts:
            given = self.dataset(name).get("bags", {})
            mine = [model for model in wanted["slides"] if model not in given]
            found.append(("embed_slide", mine, name))
        return found

    @cached_property
    def finetuned(self) -> dict[str, str]:
        """The encoders that are finetuned here, and the recipe of each."""
        made = {name: self.model(name)["weights"] for name in self.models}
        return {name: w["finetune"] for name, w in made.items() if "finetune" in w}

    @cached_property
    def published_names(self) -> dict[str, str]:
        """What is finetuned here to the card of the authors' weights, whose numbers are printed.

        Not where those weights are in a row themselves.
        """
        named = {name: f"{name}_published" for name in self.finetuned}
        return {name: other for name, other in named.items() if other not in self.models}

    def is_random(self, name: str) -> bool:
        """Whether a model, or what it was finetuned from, began with random weights."""
        weights = self.model(name)["weights"]
        if "finetune" in weights:
            return self.is_random(self.finetuning(weights["finetune"])["base"])
        return "random" in weights

    @property
    def table_columns(self) -> dict[str, dict[str, tuple[str, str]]]:
        """The columns of the tables of patches and of slides: dataset tested on, and quantity.

        Of several external cohorts each has a column `external_{dataset}`.
        """
        several = len(self.external) > 1
        outside = {f"external_{name}" if several else "external": name for name in self.external}
        tested = {"cohort": self.cohort} | outside if self.cohorts else {}
        quantities = ("balanced_accuracy", "weighted_f1") if self.sets else ()
        return {
            "patches": {name: (self.test, name) for name in quantities},
            "slides": {name: (dataset, "auroc") for name, dataset in tested.items()},
        }

    @property
    def synthetic(self) -> dict[str, list[str]]:
        """The columns of either table whose numbers come from synthetic tissue.

        All of them where what trains is synthetic, else those that are tested on such tissue.
        """
        invented = {name for name in self.datasets if "synthetic" in self.dataset(name)}
        trains = {"patches": self.sets[:1], "slides": self.cohorts[:1]}
        return {
            kind: [n for n, (tested, _) in columns.items() if invented & {tested, *trains[kind]}]
            for kind, columns in self.table_columns.items()
        }

    @cached_property
    def finetunings(self) -> list[str]:
        """The recipes that encoders of tables and figures are made by."""
        return list(dict.fromkeys(self.finetuned.values()))
