"""YAML card in, checked card out.

The schemas' library is imported where a card is checked: most scripts take checked cards.
"""

import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from difflib import get_close_matches
from functools import cache
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from cryotome.core.errors import CardError
from cryotome.core.files import leads_out

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import ValidationError

Card = dict[str, Any]

SCHEMAS = Path(__file__).resolve().parents[2] / "schemas"
LONGEST = 1_000_000  # characters of a card
DIGITS = 40  # characters of a number; YAML also counts by 60, in the square of the time
NAME = "[a-z0-9_]+"  # what a card may be called: a wildcard of Snakemake, a part of paths
KINDS = {"models": "model", "datasets": "dataset", "heads": "head", "schemes": "scheme"}
KINDS |= {"downloads": "download", "finetunes": "finetune"}

# Keys that a card with `like:` says whole, or not at all: parts of two sources are none.
REPLACED_WHOLE = {"weights", "checkpoint", "pooler"}
# Keys that are read by people only: editing them must not rerun a job.
PROSE = {"title", "source", "notes", "licence", "table1", "printed", "trained_mpp"}
PROSE |= {"parameters", "gflops", "download", "look"}


class _Loader(yaml.SafeLoader):
    """YAML as far as cards need it: each key once, keys that are text, finite numbers."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()
        tag = getattr(event, "tag", None)
        if isinstance(event, yaml.AliasEvent) or tag:
            what = f"the tag {tag!r:.80}" if tag else "`*alias`"
            mark = event.start_mark
            raise yaml.MarkedYAMLError(None, None, f"write it out: {what} is not read", mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        said = set()
        for key, _ in node.value:
            name = self.construct_object(key, deep=True)
            if not isinstance(name, str):
                what = f"the key {key.value!r} means {name!r}; put it in quotes"
                raise yaml.MarkedYAMLError(None, None, what, key.start_mark)
            if name in said:
                raise yaml.MarkedYAMLError(None, None, f"{name!r} is said twice", key.start_mark)
            said.add(name)
        return super().construct_mapping(node, deep)


def _number(loader: _Loader, node: Any) -> float:
    whole, long = node.tag.endswith("int"), len(node.value) > DIGITS
    value = loader.construct_yaml_float(node) if not (whole or long) else 0.0
    if long or not isfinite(value):
        said = f"{node.value:.40} is no number here"
        raise yaml.MarkedYAMLError(None, None, said, node.start_mark)
    return loader.construct_yaml_int(node) if whole else value


def _date(loader: _Loader, node: Any) -> str:
    return str(loader.construct_scalar(node))  # a date is text


for kind in ("int", "float"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{kind}", _number)
_Loader.add_constructor("tag:yaml.org,2002:timestamp", _date)


def read_yaml(path: Path) -> Card:
    """Read one YAML file that holds a mapping.

    Raises
    ------
    CardError
        The file is missing, is not YAML, or holds something else than a mapping.
    """
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(LONGEST + 1)
        if len(text) > LONGEST:
            raise CardError(f"{path} has more than {LONGEST:,} characters, which no card needs.")
        content = yaml.load(text, _Loader)
    except FileNotFoundError:
        beside = ", ".join(sorted(p.stem for p in path.parent.glob("*.yaml")))
        raise CardError(f"{path} does not exist. Its folder has: {beside or 'nothing'}.") from None
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise CardError(f"{path} is not valid YAML: {error}") from None
    if not isinstance(content, dict):
        raise CardError(f"{path} must hold `key: value` lines, not {type(content).__name__}.")
    return content


def _is_line(said: str) -> bool:
    return said.isprintable() and said.strip() == said != "" and said[0] not in "=+-@"


def _is_inner_path(said: str) -> bool:
    return said.isprintable() and said.strip() == said != "" and not leads_out(said)


# what `format:` of a schema may ask of a text, and how that is said to people
FORMATS = {
    "line": (_is_line, "one line of printable text that begins with none of = + - @"),
    "inner_path": (_is_inner_path, "a path below its folder: relative, and without `..`"),
}


def _pattern(_: Any, pattern: str, said: Any, __: Any) -> Iterator["ValidationError"]:
    """Match as JSON Schema means it: Python's `$` also matches before a last line break."""
    from jsonschema.exceptions import ValidationError

    if isinstance(said, str) and not re.search(re.sub(r"(?<!\\)\$", r"\\Z", pattern), said):
        yield ValidationError(f"{said!r} does not match {pattern!r}")


def _unique(_: Any, wanted: bool, said: Any, __: Any) -> Iterator["ValidationError"]:
    """Find equal items in one pass; jsonschema compares each mapping with every other."""
    from jsonschema.exceptions import ValidationError

    items = said if wanted and isinstance(said, list) else []
    keys = [
        json.dumps(item, sort_keys=True)
        if isinstance(item, dict | list)
        else (isinstance(item, bool), item)
        for item in items
    ]
    counts = Counter(keys)
    twice = [item for item, key in zip(items, keys, strict=True) if counts[key] > 1]
    if twice:
        yield ValidationError(f"{twice[0]!r:.300} stands there twice")


@cache
def _validator(schema: str) -> "Draft202012Validator":
    from jsonschema import Draft202012Validator, FormatChecker
    from jsonschema.validators import extend

    content = yaml.safe_load((SCHEMAS / f"{schema}.schema.yaml").read_text(encoding="utf-8"))
    formats = FormatChecker(formats=[])
    for name, (fits, _) in FORMATS.items():
        formats.checks(name)(lambda said, fits=fits: not isinstance(said, str) or fits(said))
    own = {"pattern": _pattern, "uniqueItems": _unique}
    strict = extend(Draft202012Validator, own)
    return strict(content, format_checker=formats)


def required_keys(schema: str) -> list[str]:
    """Return the keys that a schema of that name demands."""
    return list(_validator(schema).schema["required"])  # type: ignore[index,call-overload]


def validate(content: Card, schema: str, path: Path | str) -> Card:
    """Return `content` if it fits the schema of that name.

    Raises
    ------
    CardError
        It does not; the text names the file, the key and the value.
    """
    from jsonschema.exceptions import best_match

    error = best_match(_validator(schema).iter_errors(content))
    if error:
        where = ".".join(map(str, error.absolute_path)) or "top level"
        raise CardError(f"{path}, {where}: {error.message}{_meant(error)}")
    return content


def _meant(error: "ValidationError") -> str:
    """Guess which key a misspelt one was to be."""
    if isinstance(error.instance, bool):
        return ". YAML reads yes, no, on and off as true or false; put such a word in quotes."
    if error.validator == "format":
        return f". It must be {FORMATS[str(error.validator_value)][1]}."
    said = [str(key) for key in error.instance] if isinstance(error.instance, dict) else []
    if error.validator == "required":
        needed: list[str] = error.validator_value  # type: ignore[assignment]
        missing = next(key for key in needed if key not in said)
        wrote = get_close_matches(missing, said, n=1)
        return f". You wrote {wrote[0]!r}." if wrote else ""
    if error.validator != "additionalProperties":
        return ""
    known = error.schema.get("properties", {})  # type: ignore[union-attr]
    guesses = [get_close_matches(key, known, n=1) for key in said if key not in known]
    meant = [guess[0] for guess in guesses if guess]
    return f". Did you mean {', '.join(map(repr, meant))}?" if meant else ""


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
    """Read `folder/kind/name.yaml`, follow its `like:`, check it.

    Parameters
    ----------
    folder
        The config folder.
    kind
        `models`, `datasets`, `heads`, `schemes`, `downloads` or `finetunes`.
    name
        The card's file name without `.yaml`.

    Raises
    ------
    CardError
        No such card, a name that cannot stand in the paths of results, a key the schema does
        not know, or a value out of bounds.
    """
    path = below(folder / kind, f"{name}.yaml")
    if not isinstance(name, str) or not re.fullmatch(NAME, name):
        raise CardError(
            f"{folder / kind}: a card cannot be called {name!r:.300}. Write its name in lower-case "
            "letters, digits and _, where it is named and as the name of its file."
        )
    card = read_yaml(path)
    if "like" in card:
        change = {key: value for key, value in card.items() if key != "like"}
        parent = load_card(folder, kind, card["like"])
        parent.pop("look", None)  # no two models look alike
        card = _merged(parent, change)
    return validate(card, KINDS[kind], path)


def below(folder: Path, said: str) -> Path:
    """Return the path that a card says, sure that it lies below its folder.

    Links inside the folder may lead anywhere: they are the user's own.

    Raises
    ------
    CardError
        It leads out of the folder.
    """
    place = Path(os.path.normpath(folder / said))
    if leads_out(said) or not place.is_relative_to(os.path.normpath(folder)):
        raise CardError(f"{said!r} leads out of {folder}. Write {FORMATS['inner_path'][1]}.")
    return folder / said


def without_notes(card: Card, *only: str) -> str:
    """Return what decides the numbers of a card as canonical JSON: no prose, keys sorted.

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
    """Return what decides the tiles of a dataset of slides under one of its tilings.

    Raises
    ------
    CardError
        Its card has no tiling of that name.

    >>> tiling_of({"tiles": {"classify": {"mpp": 1.0, "side": 256}}}, "classify")
    {'tiling': {'mpp': 1.0, 'side': 256}, 'mpp': None, 'synthetic': ''}
    """
    if name not in card.get("tiles", {}):
        raise CardError(
            f"The card of {card['title']!r} has no tiling {name!r} (`tiles:` says "
            f"{list(card.get('tiles', {}))}), so its slides cannot be tiled. Add it there."
        )
    decided = {key: card[key] for key in ("mpp_overrides_file",) if key in card}
    return {
        "tiling": card["tiles"][name] | decided,
        "mpp": card.get("mpp"),
        "synthetic": card.get("synthetic", ""),
    }


def titles_apart(titles: dict[str, str]) -> dict[str, str]:
    """Return the titles by name; those that several have are told apart by the name.

    >>> titles_apart({"ca": "Our cells", "cb": "Our cells", "cc": "Others"})
    {'ca': 'Our cells (ca)', 'cb': 'Our cells (cb)', 'cc': 'Others'}
    """
    said = list(titles.values())
    return {n: title + f" ({n})" * (said.count(title) > 1) for n, title in titles.items()}
