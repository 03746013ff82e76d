"""Comparison of two states of a study: `python -m cryotome.cli.compare results@previous results`.

A state is a folder of results, of this or another machine, or a bundle. `@` and a time, a commit
or `previous` take an earlier state from the history of that folder.
"""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from cryotome.core.errors import StoreError
from cryotome.evaluation.changes import (
    MOVED,
    SETTING,
    State,
    compare_states,
    concordance,
    state_of,
)
from cryotome.evaluation.history import FILE, Line, latest, read_history
from cryotome.report.bundle import unpack
from cryotome.runtime.interpreter import run_program
from cryotome.study.site import RESULTS

PREVIOUS = "previous"


def results_of(path: Path, folder: Path) -> tuple[Path, str]:
    """Return the folder of results of a path that a user gives, and the study if it names one.

    Parameters
    ----------
    path
        A bundle, a folder of results or of one study in it, a clone, or a history.jsonl.
    folder
        Where a bundle is unpacked.

    Raises
    ------
    StoreError
        There is no history.
    """
    if path.is_file() and path.name != FILE:
        bundle = unpack(path, folder)
        if bundle.problems:
            raise StoreError(f"{path}: {bundle.problems[0]} `make verify BUNDLE={path}` says more.")
        return folder / RESULTS, bundle.about["study"]
    places = {path: "", path.parent: "", path / RESULTS: "", path.parent.parent: path.name}
    for place, study in places.items():
        if (place / FILE).is_file():
            return place, study
    raise StoreError(
        f"{path} has no {FILE}, and is no bundle. Every run that ends well writes it: run the "
        "study's command there once more, with this version of cryotome; finished jobs stay."
    )


def choose_study(lines: list[Line], study: str, path: Path) -> list[Line]:
    """Return the lines of one study, of the only one where none is named.

    Raises
    ------
    StoreError
        The history has no line of it, or several studies and none is named.
    """
    known = sorted({line["study"] for line in lines})
    if not study and len(known) == 1:
        study = known[0]
    if study not in known:
        raise StoreError(
            f"{path}: its history has the studies {', '.join(known) or 'none'}. Name one of them, "
            f"STUDY=…{f'; it has no {study!r}' if study else ''}."
        )
    return [line for line in lines if line["study"] == study]


def until(lines: list[Line], when: str, path: Path) -> list[Line]:
    """Return the lines of a history up to a time, a commit or the state before the last one.

    Raises
    ------
    StoreError
        There is no such state.

    >>> lines = [{"time": "2026-11-30T10:00", "commit": "ab"}, {"time": "2026-12-01T09:00"}]
    >>> len(until(lines, "previous", Path("x"))), len(until(lines, "ab", Path("x")))
    (1, 1)
    >>> len(until(lines, "2026-12", Path("x"))), len(until(lines, "", Path("x")))
    (2, 2)
    """
    times = sorted({line["time"] for line in lines})
    if when == PREVIOUS:
        found = times[:-1]
    else:
        known = [(line["time"], line["time"], line.get("commit", "")) for line in lines]
        found = [time for time, *names in known if any(name.startswith(when) for name in names)]
    if not found:
        raise StoreError(f"{path} has no state {when!r}; its states are of {', '.join(times)}.")
    return [line for line in lines if line["time"] <= max(found)]


def read_state(given: str, study: str, folder: Path) -> State:
    """Return the state that a user names, `PATH` or `PATH@WHEN`; a bundle goes to `folder`."""
    name, _, when = given.partition("@") if not Path(given).exists() else (given, "", "")
    path = Path(name)
    results, named = results_of(path, folder)
    lines = choose_study(read_history(results), study or named, path)
    return state_of(results, latest(until(lines, when, path)))


def report(a: State, b: State) -> Iterator[str]:
    """Yield the lines that say what moved, what changed, and whether the order of rows stayed."""
    changed = compare_states(a, b)
    for what, one, other in (("only in A", a, b), ("only in B", b, a)):
        missing = sorted(one.lines.keys() - other.lines.keys())
        yield from (f"{what}: {', '.join(key)}" for key in missing)
    both = len(a.lines.keys() & b.lines.keys())
    if changed.empty:
        yield f"Nothing changed: {both} rows have equal numbers and predictions."
        return
    for line in changed.to_dict("records"):
        yield _sentence(line)
    moved = (changed["verdict"] == MOVED).sum()
    yield f"{moved} of {both} rows moved beyond the draw of slides, {len(changed)} changed at all."
    yield from _orders(concordance(a, b), changed)


def _sentence(line: dict) -> str:
    known = pd.notna(line["low"])
    span = f", {line['low']:+.4f} to {line['high']:+.4f}" if known else ", predictions not kept"
    place = ", ".join(str(line[name]) for name in SETTING)
    why = f" Changed: {line['changed']}." if line["changed"] else ""
    return (f"{line['verdict']}: {line['row']} ({place}): AUROC {line['before']:.4f} to "
            f"{line['after']:.4f} ({line['difference']:+.4f}{span}).{why}")  # fmt: skip


def _orders(orders: pd.DataFrame, changed: pd.DataFrame) -> Iterator[str]:
    """Yield Kendall's tau of the settings in which a row changed."""
    settings = set(changed[SETTING].itertuples(index=False, name=None))
    for line in orders.to_dict("records"):
        setting = tuple(line[name] for name in SETTING)
        if setting in settings:
            place = ", ".join(setting)
            yield f"order of {line['rows']} rows, {place}: Kendall's tau {line['tau']:.2f}"


def main(a: str, b: str, study: str = "") -> None:
    """Print what changed from state A to state B."""
    with tempfile.TemporaryDirectory() as place:
        states = (read_state(one, study, Path(place) / side) for side, one in (("a", a), ("b", b)))
        print("\n".join(report(*states)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("a", help="PATH or PATH@WHEN: the earlier state")
    parser.add_argument("b", help="the later state")
    parser.add_argument("--study", default="", help="where the history has several")
    given = parser.parse_args()
    run_program(lambda: main(given.a, given.b, given.study))
