from pathlib import Path

import pytest

from cryotome.data.reading_report import report_reading


def test_each_reason_is_counted(capsys: pytest.CaptureFixture) -> None:
    passed = {"rectangles": 3, "polygons": 0, "without a class": 1}
    report_reading(Path("a.sqlite"), read=6, passed_over=passed)
    assert capsys.readouterr().err == (
        "a.sqlite: 10 annotations found, 6 read, 4 passed over: 3 rectangles, 1 without a class\n"
    )


def test_nothing_passed_over_is_reported_too(capsys: pytest.CaptureFixture) -> None:
    report_reading("slides", read=2, passed_over={}, unit="slides")
    assert capsys.readouterr().err == "slides: 2 slides found, 2 read, 0 passed over\n"
