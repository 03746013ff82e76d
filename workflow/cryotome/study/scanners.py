"""Scanners of a dataset: which of them a study can train on and test, apart from the domains."""

from typing import TYPE_CHECKING

from cryotome.core.cards import Card
from cryotome.study.schemes import SCANNER

if TYPE_CHECKING:
    from cryotome.study.study import Study

NOT_PARTED = "a scanner effect cannot be parted from that of the domain there"


def why_not_parted(card: Card) -> str:
    """Return why a dataset's scanners cannot be parted from its domains; empty where they can.

    Only the card is read: `data.domains:put_scanners` looks at the cells.

    >>> why_not_parted({})
    'its card names no `scanners`'
    >>> said = {"a": {"where": {"domain": "x"}}, "b": {"where": {"domain": "y"}}}
    >>> why_not_parted({"scanners": said})
    'each scanner is one domain'
    """
    ways = [entry["where"] for entry in card.get("scanners", {}).values()]
    if not ways:
        return "its card names no `scanners`"
    if len(ways) == 1:
        return "its card names one scanner"
    named = [way["domain"] for way in ways if isinstance(way, dict) and set(way) == {"domain"}]
    return "each scanner is one domain" if len(set(named)) == len(ways) else ""


def parted_scanners(card: Card) -> dict[str, Card]:
    """Return the `scanners` of a dataset's card; none where they cannot be parted from domains."""
    return {} if why_not_parted(card) else card["scanners"]


def scanner_titles(card: Card) -> dict[str, str]:
    """Return the titles of a dataset's scanners by the names that tables give them.

    >>> scanner_titles({"a": {"title": "Aperio CS2", "where": {}}})
    {'scanner_a': 'Aperio CS2'}
    """
    return {SCANNER + name: entry["title"] for name, entry in card.items()}


def scanner_cards(study: "Study") -> dict[str, Card]:
    """Return what the card of each of a study's datasets says of scanners."""
    cards = {name: study.dataset(name) for name in study.datasets}
    return {name: {"scanners": card.get("scanners", {})} for name, card in cards.items()}
