"""A new model's card, written and counted: `python -m cryotome.cli.new_model owner/name`.

Or what is wrong with a card that is there: `python -m cryotome.cli.new_model --card my_model`.
"""

import argparse
from pathlib import Path

from cryotome.core.cards import below, load_card
from cryotome.core.errors import CardError
from cryotome.core.files import atomic_write
from cryotome.encoders.draft import NOT_KNOWN, card_name, differences, draft_card
from cryotome.encoders.hub_folder import read_hub
from cryotome.encoders.network import LOADERS
from cryotome.runtime.interpreter import run_program
from cryotome.study.load import CONFIG


def write_card(place: str, name: str, folder: Path = CONFIG) -> list[str]:
    """Write the card of a repository, and return what a person should know, a line each.

    Parameters
    ----------
    place
        `owner/name` of the hub, or a folder with its files.
    name
        Of the card; empty: that of the repository.

    Raises
    ------
    CardError
        There is such a card, or the files do not say enough for one.
    """
    name = name or card_name(place)
    path = below(folder / "models", f"{name}.yaml")
    if path.exists():
        raise CardError(
            f"{path} exists. Give another name: `NAME=…`, remove it first, or ask `CARD={name}`."
        )
    hub = read_hub(place)
    draft = draft_card(hub, name)
    with atomic_write(path) as beside:
        beside.write_text(draft.text(), encoding="utf-8")
    try:
        card = load_card(folder, "models", name)
    except CardError:
        Path(path).unlink()
        raise
    counted = f"{card['parameters']:,} parameters, {card['dim']} numbers, {card['gflops']} GFLOP"
    lines = [f"wrote {path}: {card['architecture']} of {card['loader']}, {counted}"]
    lines += [f"{NOT_KNOWN.lower()}{key}: {why}" for key, why in draft.unknown.items()]
    if not hub.shapes:
        return [*lines, "no weights at hand: names and shapes of parameters were not compared"]
    return lines + (differences(card, hub.shapes) or [f"{hub.file} fits, name by name"])


def check_card(name: str, folder: Path = CONFIG) -> list[str]:
    """Build and count the network of a card, and return what differs, a line each.

    Raises
    ------
    CardError
        The card does not fit its schema, or has no network that is built here.
    """
    card = load_card(folder, "models", name)
    if card["loader"] not in LOADERS or "code" in card:
        raise CardError(f"{name} has no network of a library to count: {card['loader']!r}.")
    marks = (below(folder / "models", f"{name}.yaml")).read_text(encoding="utf-8").count(NOT_KNOWN)
    wrong = differences(card, {})
    way = f"Correct these in {folder / 'models' / name}.yaml; nothing was changed."
    lines = [*wrong, way] if wrong else [f"{name} is what its card says: all four numbers agree"]
    return lines + [f"{marks} keys are still marked {NOT_KNOWN.strip(' :')}"] * bool(marks)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("hub", nargs="?", help="owner/name, or a folder with config.json")
    parser.add_argument("--name", default="", help="name of the card")
    parser.add_argument("--card", default="", help="count a card that is there instead")
    return parser


def main(hub: str | None, name: str, card: str) -> bool:
    """Print the lines; return whether there was anything to do."""
    if bool(hub) == bool(card):
        raise CardError("Say `HUB=owner/name` (or a folder) to write a card, or `CARD=name`.")
    for line in check_card(card) if card else write_card(str(hub), name):
        print(line)
    return True


if __name__ == "__main__":
    given = _parser().parse_args()
    run_program(lambda: main(given.hub, given.name, given.card))
