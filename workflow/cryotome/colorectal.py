"""The part of a study that is paper 002's: encoders on colorectal tissue, in patches and slides."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

from cryotome.cards import Card
from cryotome.errors import CardError

TABLES = ["table1.csv", "table2.csv", "table3.csv", "tables.md", "published.csv"]
FIGURES = {n: [f"figure{n}.{kind}" for kind in ("csv", "pdf", "png")] for n in (1, 2)}
PRODUCTS = [f"colorectal/{name}" for name in (*TABLES, *FIGURES[1], *FIGURES[2])]
GIVEN, FULL = "given", "1.0"  # the scheme and the fraction of patch classification
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
    return [*range(card["checkpoint_every"], card["stop_at"], card["checkpoint_every"]),
            card["stop_at"]]  # fmt: skip


def bases(
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
    model, finetuning
        Return a card by its name.
    """

    block: Card
    view: str
    folds: list[int]
    model: Callable[[str], Card]
    finetuning: Callable[[str], Card]

    def __post_init__(self) -> None:
        for name in (self.block["figure2"] or {}).values():
            weights = self.model(name)["weights"]
            if "finetune" not in weights:
                raise CardError(
                    f"colorectal, figure2: {name} is not finetuned here (its card says `weights: "
                    f"{weights}`), so it has no checkpoints to be scored on the way."
                )

    @cached_property
    def rows(self) -> list[Encoders]:
        """The rows in table order, the control last."""
        said = [*self.block["rows"], self.block["control"]]
        return [Encoders(row, row)
                if isinstance(row, str) else Encoders(**row) for row in said]  # fmt: skip

    @property
    def products(self) -> list[str]:
        """File names of everything that this part makes for people."""
        none = [] if self.block["figure2"] else FIGURES[2]
        return [name for name in PRODUCTS if name.removeprefix("colorectal/") not in none]

    @property
    def train(self) -> str:
        return self.block["patches"]["train"]

    @property
    def test(self) -> str:
        return self.block["patches"]["test"]

    @property
    def patch_heads(self) -> list[str]:
        return self.block["patches"]["heads"]

    @property
    def cohort(self) -> str:
        return self.block["slides"]["cohort"]

    @property
    def external(self) -> str:
        return self.block["slides"]["external"]

    @property
    def scheme(self) -> str:
        return self.block["slides"]["scheme"]

    @property
    def slide_heads(self) -> list[str]:
        return self.block["slides"]["heads"]

    @property
    def datasets(self) -> list[str]:
        return [self.train, self.test, self.cohort, self.external]

    def course(self, name: str) -> dict[int, str]:
        """Return iteration to model of a finetuned encoder: what it started from, then checkpoints.

        The last is the encoder itself.
        """
        card = self.finetuning(self.model(name)["weights"]["finetune"])
        *before, last = iterations(card)
        return {0: card["base"]} | {n: f"{name}_at_{n}" for n in before} | {last: name}

    @cached_property
    def courses(self) -> dict[str, dict[int, str]]:
        """The courses of Figure 2, of `patches` and of `slides`; none where it is not asked for."""
        return {kind: self.course(name) for kind, name in (self.block["figure2"] or {}).items()}

    @cached_property
    def patch_models(self) -> list[str]:
        """The encoders of the rows, on patches."""
        return list(dict.fromkeys(row.patches for row in self.rows))

    @cached_property
    def slide_models(self) -> list[str]:
        """The encoders of the rows, on slides."""
        return list(dict.fromkeys(row.slides for row in self.rows))

    @cached_property
    def models(self) -> list[str]:
        """Every encoder of the tables, and those that finetuned ones start from."""
        tuned = (self.block["figure2"] or {}).values()
        named = dict.fromkeys([*self.patch_models, *self.slide_models, *tuned])
        return list(dict.fromkeys([*named, *bases(named, self.model, self.finetuning)]))
