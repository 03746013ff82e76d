"""Cards: YAML files, read, merged with the card that they extend, checked against a schema."""

import json
import os
import re
from collections.abc import Iterator
from difflib import get_close_matches
from math import isfinite
from pathlib import Path
from typing import Any

import yaml

from cryotome.core.errors import CardError
from cryotome.core.files import leads_out
from cryotome.core.renamed import refuse_renamed_card
from cryotome.core.schemas import FORMATS, validate

Card = dict[str, Any]

MAX_CHARACTERS = 1_000_000  # of a card
MAX_DIGITS = 40  # characters of a number: YAML reads base 60, in quadratic time
NAME = "[a-z0-9_]+"  # of a card: it is a wildcard of Snakemake and a part of paths
KINDS = {"models": "model", "datasets": "dataset", "heads": "head", "schemes": "scheme"}
KINDS |= {"downloads": "download", "finetunings": "finetuning"}

# blocks that an extending card replaces as a whole; they are never merged
REPLACED_WHOLE = {"weights", "checkpoint", "pooler", "code", "domains", "scanners", "expect"}
REPLACED_WHOLE |= {"raters"}
# keys for readers only: editing them must not rerun a job
PROSE = {"title", "source", "notes", "licence", "published", "trained_mpp"}
PROSE |= {"parameters", "gflops", "download", "style", "nominal_mpp"}


class _Loader(yaml.SafeLoader):
    """Loader of YAML without aliases and tags; keys are unique and text, numbers finite."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()
        tag = getattr(event, "tag", None)
        if isinstance(event, yaml.AliasEvent) or tag:
            what = f"the tag {tag!r:.80}" if tag else "an `*alias`"
            mark = event.start_mark
            raise yaml.MarkedYAMLError(
                None, None, f"{what} is not supported; write the value out", mark
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen = set()
        for key, _ in node.value:
            name = self.construct_object(key, deep=True)
            if not isinstance(name, str):
                what = f"the key {key.value!r} means {name!r}; put it in quotes"
                raise yaml.MarkedYAMLError(None, None, what, key.start_mark)
            if name in seen:
                raise yaml.MarkedYAMLError(None, None, f"{name!r} is given twice", key.start_mark)
            seen.add(name)
        return super().construct_mapping(node, deep)


def _number(loader: _Loader, node: Any) -> float:
    whole, long = node.tag.endswith("int"), len(node.value) > MAX_DIGITS
    value = loader.construct_yaml_float(node) if not (whole or long) else 0.0
    if long or not isfinite(value):
        what = f"{node.value:.40} is not a finite number of at most {MAX_DIGITS} characters"
        raise yaml.MarkedYAMLError(None, None, what, node.start_mark)
    return loader.construct_yaml_int(node) if whole else value


def _date(loader: _Loader, node: Any) -> str:
    return str(loader.construct_scalar(node))  # dates stay text


for kind in ("int", "float"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{kind}", _number)
_Loader.add_constructor("tag:yaml.org,2002:timestamp", _date)


def read_yaml(path: Path) -> Card:
    """Read one YAML file that holds a mapping.

    Raises
    ------
    CardError
        The file is missing, is not YAML, or does not hold a mapping.
    """
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(MAX_CHARACTERS + 1)
        if len(text) > MAX_CHARACTERS:
            raise CardError(
                f"{path} has more than {MAX_CHARACTERS:,} characters, the limit for a card. "
                "Shorten it."
            )
        content = yaml.load(text, _Loader)
    except FileNotFoundError:
        there = sorted(p.stem for p in path.parent.glob("*.yaml"))
        near = get_close_matches(path.stem, there, n=1)
        meant = f"Did you mean {near[0]!r}? " if near else ""
        has = ", ".join(there) or "nothing"
        raise CardError(f"{path} does not exist. {meant}Its folder has: {has}.") from None
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise CardError(f"{path} is not valid YAML: {error}") from None
    if not isinstance(content, dict):
        raise CardError(f"{path} must hold `key: value` lines, not {type(content).__name__}.")
    return content


def _merged(base: Card, change: Card) -> Card:
    result = dict(base)
    for name, value in change.items():
        both = (
            isinstance(value, dict)
            and isinstance(base.get(name), dict)
            and name not in REPLACED_WHOLE
        )
        result[name] = _merged(base[name], value) if both else value
    return result


def load_card(folder: Path, kind: str, name: str) -> Card:
    """Read `folder/kind/name.yaml`, merge it into the card of its `extends:`, check it.

    A `module:` that a model card names below the config folder becomes a path that can be opened
    from the working folder; code of a hub keeps its path within the repository.

    Parameters
    ----------
    folder
        The config folder.
    kind
        `models`, `datasets`, `heads`, `schemes`, `downloads` or `finetunings`.
    name
        The card's file name without `.yaml`.

    Raises
    ------
    CardError
        The card does not exist, its name cannot be part of a path, a key is unknown, or a value
        is out of bounds.
    """
    card = _load_merged(folder, kind, name)
    if "module" in card and "code" not in card:
        card["module"] = os.path.relpath(below(folder, card["module"]))
    return card


def _load_merged(folder: Path, kind: str, name: str) -> Card:
    path = below(folder / kind, f"{name}.yaml")
    if not isinstance(name, str) or not re.fullmatch(NAME, name):
        raise CardError(
            f"{folder / kind}: a card cannot be called {name!r:.300}. Use lower-case letters, "
            "digits and _ only, also in the name of its file."
        )
    refuse_renamed_card(kind, name, path)
    card = read_yaml(path)
    if "extends" in card:
        change = {key: value for key, value in card.items() if key != "extends"}
        parent = _load_merged(folder, kind, card["extends"])
        parent.pop("style", None)  # each model has its own style
        card = _merged(parent, change)
    return validate(card, KINDS[kind], path)


def files_of_card(folder: Path, kind: str, name: str) -> Iterator[Path]:
    """Yield the file of a card and of those that it extends; none of a variant without file."""
    path = folder / kind / f"{name}.yaml"
    if path.exists():
        yield path
        yield from files_of_card(folder, kind, read_yaml(path).get("extends", ""))


def below(folder: Path, path: str) -> Path:
    """Return `folder / path` for a path of a card, which must stay below the folder.

    Links inside the folder may lead anywhere: they are the user's own.

    Raises
    ------
    CardError
        The path leads out of the folder.
    """
    place = Path(os.path.normpath(folder / path))
    if leads_out(path) or not place.is_relative_to(os.path.normpath(folder)):
        raise CardError(f"{path!r} leads out of {folder}. Write {FORMATS['inner_path'][1]}.")
    return folder / path


def without_notes(card: Card, *only: str) -> str:
    """Return the keys of a card that its results depend on, as canonical JSON.

    >>> without_notes({"title": "UNI", "pooling": "class", "dim": 1024})
    '{"dim": 1024, "pooling": "class"}'
    >>> without_notes({"title": "UNI", "pooling": "class", "dim": 1024}, "dim")
    '{"dim": 1024}'
    """
    kept = {key: value for key, value in card.items() if not only or key in only}
    return json.dumps(_without_prose(kept), sort_keys=True)


def _without_prose(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_prose(v) for k, v in value.items() if k not in PROSE}
    return value


def tiling_of(card: Card, name: str) -> Card:
    """Return what the tiles of a dataset of slides depend on, for one of its tilings.

    Raises
    ------
    CardError
        Its card has no tiling of that name.

    >>> tiling_of({"tiles": {"classify": {"mpp": 1.0, "side": 256}}}, "classify")
    {'tiling': {'mpp': 1.0, 'side': 256}, 'mpp': None, 'synthetic': ''}
    """
    if name not in card.get("tiles", {}):
        raise CardError(
            f"The card of {card['title']!r} has no tiling {name!r}, only "
            f"{list(card.get('tiles', {}))}. Add it to `tiles:` of the card."
        )
    overrides = {key: card[key] for key in ("mpp_overrides_file",) if key in card}
    return {
        "tiling": card["tiles"][name] | overrides,
        "mpp": card.get("mpp"),
        "synthetic": card.get("synthetic", ""),
    }


def distinct_titles(titles: dict[str, str]) -> dict[str, str]:
    """Return the titles by name; a title that several have is followed by the name.

    >>> distinct_titles({"ca": "Our cells", "cb": "Our cells", "cc": "Others"})
    {'ca': 'Our cells (ca)', 'cb': 'Our cells (cb)', 'cc': 'Others'}
    """
    every = list(titles.values())
    return {n: title + f" ({n})" * (every.count(title) > 1) for n, title in titles.items()}
