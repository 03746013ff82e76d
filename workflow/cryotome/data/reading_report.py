"""Report of a reader: how many entries were found, read, and passed over by reason."""

import sys
from collections.abc import Mapping
from pathlib import Path

import pandas as pd


def report_reading(
    source: Path | str, *, read: int, passed_over: Mapping[str, int], unit: str = "annotations"
) -> None:
    """Print one line to the log: entries found, read, and passed over with the reasons.

    Parameters
    ----------
    source
        The file or folder that was read.
    read
        Entries that became cells, slides or patients.
    passed_over
        Reason to the number of entries; reasons without entries are not printed.
    unit
        What is counted, plural.
    """
    reasons = {reason: count for reason, count in passed_over.items() if count}
    left = sum(reasons.values())
    why = ": " + ", ".join(f"{count} {reason}" for reason, count in reasons.items()) if left else ""
    print(
        f"{source}: {read + left} {unit} found, {read} read, {left} passed over{why}",
        file=sys.stderr,
    )


def report_by_reason(source: Path | str, reasons: pd.Series, unit: str = "annotations") -> None:
    """Report a reading, given why each entry was passed over; empty where it was read.

    >>> report_by_reason("a.csv", pd.Series(["", "", "of class 3"]))  # on the log
    """
    passed = {str(reason): int(count) for reason, count in reasons.value_counts().items()}
    report_reading(source, read=passed.pop("", 0), passed_over=passed, unit=unit)
