"""Robustness of embeddings: what the key `robustness:` of a study asks for."""

from dataclasses import dataclass

from cryotome.core.cards import Card
from cryotome.core.errors import CardError
from cryotome.study.scanners import scanner_cards
from cryotome.study.study import Study


@dataclass(frozen=True)
class RobustnessFacts:
    """What robustness of embeddings is measured on.

    Attributes
    ----------
    stores
        Dataset and model of each store of embeddings.
    heads
        Model to the heads that read its embeddings.
    cards
        Dataset to what its card says of scanners.
    identities
        Models that know a cell's slide alone.
    """

    confounders: list[str]
    neighbours: int
    max_cells: int
    view: str
    stores: list[tuple[str, str]]
    heads: dict[str, list[str]]
    cards: dict[str, Card]
    identities: list[str]


def robustness_facts(study: Study) -> RobustnessFacts:
    """Return what the robustness of embeddings is measured on: all stores that heads read."""
    frozen = [row for row in study.rows if not study.is_trainable(row.head)]
    models = list(dict.fromkeys(row.model for row in frozen))
    return RobustnessFacts(
        **study.config["robustness"],
        view=study.view,
        stores=[(dataset, model) for dataset in study.datasets for model in models],
        heads={name: [row.head for row in frozen if row.model == name] for name in models},
        cards=scanner_cards(study),
        identities=[name for name in models if study.model(name).get("loader") == "slide_identity"],
    )


def check_robustness(study: Study) -> None:
    """Stop a study whose robustness cannot be measured.

    Raises
    ------
    CardError
        No row reads embeddings, or a dataset's card names no scanners.
    """
    if not study.config["robustness"]:
        return
    where = f"study {study.name!r}, robustness:"
    if all(study.is_trainable(row.head) for row in study.rows):
        raise CardError(f"{where} no row reads embeddings. Give one a head such as `ridge_cv`.")
    asked = study.config["robustness"]["confounders"]
    unknown = [name for name in study.datasets if "scanners" not in study.dataset(name)]
    if "scanner" in asked and unknown:
        raise CardError(
            f"{where} the card of dataset {unknown[0]!r} names no `scanners`. Name them there, or "
            "take `scanner` out of `confounders`."
        )
