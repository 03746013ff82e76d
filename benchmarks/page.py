"""How long a page takes to write and to open, and how large it is: 45 rows on two datasets.

    python benchmarks/page.py

Compared with what cannot be avoided: a page with the same script of Vega and no content. Opening
ends when every figure is drawn; "tables" when the reader can read and sort.
"""

import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "workflow"), str(ROOT / "tests")]

import vl_convert
from page_study import make_page
from playwright.sync_api import sync_playwright

REPEATS = 5
EMPTY = "<!doctype html><body data-ready=all><script>{}</script>"


def opened(browser, page: Path, state: str) -> float:
    """Return the median of the seconds until the page says that it is so far."""
    times = []
    for _ in range(REPEATS):
        tab = browser.new_page()
        start = time.perf_counter()
        tab.goto(page.as_uri())
        tab.wait_for_selector(state, state="attached")
        times.append(time.perf_counter() - start)
        tab.close()
    return statistics.median(times)


def main() -> None:
    """Measure pages of 9 and of 45 rows, and the least page."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        empty = Path(folder) / "empty.html"
        vega = vl_convert.javascript_bundle().replace("</script", "<\\/script")
        empty.write_text(EMPTY.format(vega), encoding="utf-8")
        least = opened(browser, empty, "body[data-ready]")
        print(f"least page, {empty.stat().st_size / 1e6:.1f} MB: {least:.2f} s")
        for rows, cells in ((9, 2_000), (45, 40_000)):
            start = time.perf_counter()
            page = make_page(Path(folder) / str(rows), rows, ("midog2022", "ccmct"), cells)
            made = time.perf_counter() - start
            tables = opened(browser, page, "body[data-ready]")
            drawn = opened(browser, page, "body[data-ready=all]")
            size = f"{page.stat().st_size / 1e6:.1f} MB"
            print(f"{rows} rows, {cells:,} cells: {size}, written with its tables in {made:.1f} s")
            print(f"  tables {tables:.2f} s, {tables / least:.1f} of the least; all {drawn:.2f} s")
        browser.close()


if __name__ == "__main__":
    main()
