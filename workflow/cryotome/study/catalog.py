"""Catalog: the cards of a folder by their names, with the variants that need no file."""

import re
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from cryotome.core.cards import NAME, Card, files_of_card, load_card, without_notes
from cryotome.core.errors import CardError
from cryotome.study.colorectal import checkpoint_of, iterations
from cryotome.study.geometry import geometry_of, input_side
from cryotome.study.row import LAST
from cryotome.study.schemes import EXCEPT, LADDER, Scheme
from cryotome.study.variants import (
    crop_of,
    has_network,
    pooling_of,
    untrained_of,
    with_crop,
    with_pooling,
    with_random_weights,
    with_resolution,
)

# what is done with an oddity that the audit finds, where a dataset's card does not say
POLICIES: Card = {"duplicate": "keep", "conflict": "refuse", "near": "keep", "near_px": 25}
POLICIES |= {"outside": "refuse", "broken": "refuse"}
UNKNOWN_PATIENTS = 100  # of a cohort whose card expects no number


@dataclass(frozen=True)
class Catalog:
    """The cards below a folder; each is read and checked once.

    Raises
    ------
    CardError
        A card that is asked for is wrong or missing; the text names file and key.
    """

    folder: Path

    @cached_property
    def _cards(self) -> dict[tuple[str, str], Card]:
        return {}

    def _card(self, kind: str, name: str) -> Card:
        """Return a card, read and checked once: planning asks for it once a job and rule."""
        if (kind, name) not in self._cards:
            self._cards[kind, name] = load_card(self.folder, kind, name)
        return dict(self._cards[kind, name])

    def card_files(self) -> list[Path]:
        """Return the files of the cards read so far, and of those that they extend."""
        found = {path for card in self._cards for path in files_of_card(self.folder, *card)}
        return sorted(found)

    def has_card(self, kind: str, name: str) -> bool:
        return (self.folder / kind / f"{name}.yaml").exists()

    def model(self, name: str) -> Card:
        """Return a model card; `{model}_at_{iteration}` is a checkpoint of a finetuned model.

        `{model}_pool_{pooling}` pools otherwise, `{model}_random` is not trained.
        """
        pooling = pooling_of(name)
        if pooling and not self.has_card("models", name):
            return with_pooling(self.model(pooling[0]), pooling[1], name)
        trained = untrained_of(name)
        if trained and not self.has_card("models", name) and self.has_card("models", trained):
            return with_random_weights(self.model(trained), name)
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
        return self._card("finetunings", name)

    def dataset(self, name: str) -> Card:
        """Return a dataset card; `{dataset}_{n}px` and `…_{m}nm` are other crops of its cells."""
        crop = self._crop(name)
        if crop and ("datasets", name) not in self._cards:
            base, side, nm = crop
            shown = partial(with_resolution, mpp=nm / 1000) if nm else with_crop
            self._cards["datasets", name] = shown(self.dataset(base), side, name=name)
        return self._card("datasets", name)

    def _crop(self, dataset: str) -> tuple[str, int, int] | None:
        """Return what a crop's name says, None for a dataset that has a card."""
        found = crop_of(dataset)
        return None if found and self.has_card("datasets", dataset) else found

    def split_source(self, dataset: str) -> str:
        """Return the dataset that decides a dataset's splits: of a crop what it is cut from.

        Its audit says which cells are left out, its windows which cells share pixels: the same
        for all crops, so that these have the same cells in the same roles.
        """
        crop = self._crop(dataset)
        return crop[0] if crop else dataset

    def head(self, name: str) -> Card:
        """Return a head card; `{head}_last` is the last checkpoint of an end-to-end head."""
        card = self._card("heads", name.removesuffix(LAST))
        if name.endswith(LAST):
            if card["learner"] != "endtoend":
                raise CardError(f"Head {name!r}: only end-to-end heads have a last checkpoint.")
            card["title"] += ", last checkpoint"
        return card

    def is_trainable(self, head: str) -> bool:
        """Whether a head trains a network on patches instead of fitting embeddings."""
        return self.head(head)["learner"] == "endtoend"

    def heads(self, *, trains: bool) -> str:
        """Return a regular expression of the head cards that do, or do not, train a network."""
        names = sorted(path.stem for path in (self.folder / "heads").glob("*.yaml"))
        named = [name for name in names if re.fullmatch(NAME, name)]
        return "|".join(name for name in named if self.is_trainable(name) == trains)

    def scheme(self, name: str) -> Card:
        """Return a scheme card: `from_{domain}` has the card `from_domain`, others likewise.

        `{scheme}_matched` has the card of its scheme, which must be a step of the ladder.
        """
        scheme = Scheme.parse(name)
        card = self._card("schemes", scheme.card)
        if scheme.matched:
            if str(scheme.base.every) not in LADDER:
                raise CardError(f"Scheme {name!r}: only {LADDER} have a common training size.")
            card["title"] += ", equal training size"
        return card

    def split_card(self, dataset: str, scheme: str) -> str:
        """Return what decides a split as JSON: the card, of a matched scheme the ladder's too.

        Of predefined sets it says how the dataset's list of training cells is read, of schemes by
        scanner which images each scanner made.
        """
        card = self.scheme(scheme)
        if listed := self.training_list(dataset, scheme):
            card["predefined"] = listed
        if scanners := self.scanners(dataset, scheme):
            card["scanners"] = scanners
        if not Scheme.parse(scheme).matched:
            return without_notes(card)
        domains = self.dataset(dataset)["domains"]
        steps = [*LADDER[:-1], *(f"{EXCEPT}{domain}" for domain in domains)]
        return without_notes(card | {"ladder": {step: self.scheme(step) for step in steps}})

    def training_list(self, dataset: str, scheme: str) -> Card | None:
        """Return where the list lies by which a scheme splits a dataset; None for other schemes."""
        if self.scheme(scheme)["split_by"] != "predefined":
            return None
        return self.dataset(dataset).get("predefined")

    def scanners(self, dataset: str, scheme: str) -> Card:
        """Return the `scanners` of a dataset's card, which schemes by scanner need; else none."""
        return self.dataset(dataset)["scanners"] if Scheme.parse(scheme).is_by_scanner else {}

    def needs_windows(self, scheme: str) -> bool:
        """Whether a scheme asks which cells share pixels; a common size asks it of a step."""
        return Scheme.parse(scheme).matched or self.scheme(scheme)["split_by"] == "cells_apart"

    def policies(self, dataset: str) -> Card:
        """Return what is done with each finding of a dataset's audit: keep, drop or refuse."""
        card = self.dataset(dataset)
        border = {"border": "drop" if card["patch"]["border"] == "drop" else "keep"}
        return POLICIES | border | card.get("audit", {})

    def drops(self, dataset: str) -> str:
        """Return the findings whose cells enter no split of a dataset, separated by spaces."""
        return " ".join(k for k, v in sorted(self.policies(dataset).items()) if v == "drop")

    def download(self, name: str) -> Card:
        """Return the card of a public record."""
        return self._card("downloads", name)

    def is_reduced_precision(self, model: str, view: str) -> bool:
        """Whether a network computes in less than fp32 in this view."""
        return has_network(self.model(model)) and not view.endswith("fp32")

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

    def forward_gflop(self, model: str, view: str, dataset: str) -> float:
        """Estimate the GFLOP of one patch through a network; none for what is no network."""
        card, seen_by = self.model(model), self.dataset(dataset)
        side = (seen_by["patch"] if "patch" in seen_by else seen_by["tiles"]["classify"])["side"]
        if not has_network(card):
            return 0.0
        seen = geometry_of(card, view, side).seen
        return card["gflops"] * (seen / input_side(card)) ** 2

    def slides_expected(self, dataset: str) -> int:
        """Return about how many slides a cohort has: one a labelled patient."""
        return self.dataset(dataset).get("expect", {}).get("labelled", UNKNOWN_PATIENTS)
