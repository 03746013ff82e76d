"""Facts of a study for tests: what is given, and nothing beyond it."""

import typing
from dataclasses import is_dataclass
from typing import Any

from cryotome.study.facts import Statistics

STATISTICS = Statistics(draws=300, alpha=0.05, margin=0.02)


def some(kind: Any, **given: Any) -> Any:
    """Return facts of a kind; fields that are not given are empty."""
    hints = typing.get_type_hints(kind)
    if "statistics" in hints:
        given = {"statistics": STATISTICS} | given
    blank = {name: _empty(hint) for name, hint in hints.items() if name not in given}
    return kind(**blank | given)


def _empty(hint: Any) -> Any:
    return some(hint) if is_dataclass(hint) else (typing.get_origin(hint) or hint)()
