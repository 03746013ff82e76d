"""Schemas: checks of cards and configs by JSON Schema, with messages that show the way out.

jsonschema is imported only where a card is checked, for most scripts take checked cards.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from cryotome.core.errors import CardError
from cryotome.core.files import leads_out
from cryotome.core.renamed import refuse_renamed

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import ValidationError

SCHEMAS = Path(__file__).resolve().parents[2] / "schemas"


def _is_line(text: str) -> bool:
    return text.isprintable() and text.strip() == text != "" and text[0] not in "=+-@"


def _is_inner_path(text: str) -> bool:
    return text.isprintable() and text.strip() == text != "" and not leads_out(text)


# a `format:` of the schemas: its check, and its description in messages
FORMATS = {
    "line": (_is_line, "one line of printable text that begins with none of = + - @"),
    "inner_path": (_is_inner_path, "a path below its folder: relative, and without `..`"),
    "network": (
        lambda text: re.fullmatch(r"[A-Za-z]\w*", text, re.ASCII),
        "the name of a network; a tag of timm behind a dot names weights, which `weights` does",
    ),
}


def _pattern(_: Any, pattern: str, value: Any, __: Any) -> Iterator["ValidationError"]:
    """Match as JSON Schema defines it: Python's `$` also matches before a last line break."""
    from jsonschema.exceptions import ValidationError

    if isinstance(value, str) and not re.search(re.sub(r"(?<!\\)\$", r"\\Z", pattern), value):
        yield ValidationError(f"{value!r} does not match {pattern!r}")


def _unique(_: Any, wanted: bool, value: Any, __: Any) -> Iterator["ValidationError"]:
    """Find equal items in one pass; jsonschema compares each mapping with every other."""
    from jsonschema.exceptions import ValidationError

    items = value if wanted and isinstance(value, list) else []
    keys = [
        json.dumps(item, sort_keys=True)
        if isinstance(item, dict | list)
        else (isinstance(item, bool), item)
        for item in items
    ]
    counts = Counter(keys)
    twice = [item for item, key in zip(items, keys, strict=True) if counts[key] > 1]
    if twice:
        yield ValidationError(f"{twice[0]!r:.300} is listed twice")


@cache
def _validator(schema: str) -> "Draft202012Validator":
    from jsonschema import Draft202012Validator, FormatChecker
    from jsonschema.validators import extend

    content = yaml.safe_load((SCHEMAS / f"{schema}.schema.yaml").read_text(encoding="utf-8"))
    formats = FormatChecker(formats=[])
    for name, (fits, _) in FORMATS.items():
        formats.checks(name)(lambda value, fits=fits: not isinstance(value, str) or fits(value))
    own = {"pattern": _pattern, "uniqueItems": _unique}
    strict = extend(Draft202012Validator, own)
    return strict(content, format_checker=formats)


def with_defaults(content: dict[str, Any], schema: str) -> dict[str, Any]:
    """Return `content` with the defaults of the schema of that name for what it leaves out."""
    keys = _validator(schema).schema["properties"]  # type: ignore[index,call-overload]
    known = {key: about["default"] for key, about in keys.items() if "default" in about}
    return deepcopy(known) | content


def validate(content: dict[str, Any], schema: str, path: Path | str) -> dict[str, Any]:
    """Return `content` if it fits the schema of that name.

    Raises
    ------
    CardError
        It does not fit; the text names the file, the key and the value.
    """
    from jsonschema.exceptions import best_match

    refuse_renamed(content, schema, path)
    validator = _validator(schema)
    error = best_match(validator.iter_errors(content))
    if error:
        top: Any = validator.schema
        whole = {} if error.absolute_path else top.get("properties", {})
        where = ".".join(map(str, error.absolute_path)) or "top level"
        raise CardError(f"{path}, {where}: {error.message}{_hint(error, whole)}")
    return content


def _hint(error: "ValidationError", known: dict[str, Any]) -> str:
    """Return what may have been meant, such as the key closest to a misspelt one.

    `known` are keys that are allowed there, beside those of the part that does not fit.
    """
    if isinstance(error.instance, bool):
        return ". YAML reads yes, no, on and off as true or false; put such a word in quotes."
    if error.validator == "format":
        return f". It must be {FORMATS[str(error.validator_value)][1]}."
    keys = [str(key) for key in error.instance] if isinstance(error.instance, dict) else []
    if isinstance(error.schema, dict):  # of a key that is forbidden it is `false`
        known = known | error.schema.get("properties", {})
    if error.validator == "required":
        needed: list[str] = error.validator_value  # type: ignore[assignment]
        first, *more = [key for key in needed if key not in keys]
        wrote = get_close_matches(first, [key for key in keys if key not in known], n=1)
        said = f". You wrote {wrote[0]!r}." if wrote else ""
        return said or (f". Missing, too: {', '.join(map(repr, more))}." if more else "")
    if error.validator != "additionalProperties":
        return ""
    guesses = [get_close_matches(key, known, n=1) for key in keys if key not in known]
    meant = [guess[0] for guess in guesses if guess]
    return f". Did you mean {', '.join(map(repr, meant))}?" if meant else ""
