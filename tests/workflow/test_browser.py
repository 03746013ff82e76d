"""The page in a real browser: the distribution's Chromium, driven headless."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT
from page_study import make_page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)  # fmt: skip
DEMO = ROOT / "results" / "studies" / "demo" / "index.html"
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: install it to test the page"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        started = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    return make_page(tmp_path_factory.mktemp("nine"), 9, ("midog2022", "ccmct"))


class Opened:
    """A page, and the errors that it reports."""

    def __init__(self, browser, path: Path, **how) -> None:
        size = how.pop("viewport", {"width": 1300, "height": 900})
        self.tab = browser.new_context(viewport=size, **how).new_page()
        self.wrong: list[str] = []
        self.tab.on("console", lambda m: self.wrong.append(m.text) if m.type in ("error", "warning") else None)  # fmt: skip
        self.tab.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.tab.on("request", self._note)
        self.path = path
        self.tab.goto(path.as_uri())
        self.tab.wait_for_selector("body[data-ready=all]", timeout=60_000)

    def _note(self, request) -> None:
        if not request.url.startswith(("data:", self.path.parent.as_uri())):
            self.wrong.append(request.url)


def column(tab, grid, number: int) -> list[str]:
    return grid.locator(f"tbody tr > :nth-child({number})").all_inner_texts()


def test_a_table_is_sorted_by_number_and_what_is_missing_comes_last(browser, made):
    tab = Opened(browser, made).tab
    grid = tab.locator("#table2 table")
    button = grid.locator("thead button", has_text="Out of domain").first
    place = 1 + [h.strip() for h in grid.locator("thead th").all_inner_texts()].index("Out of domain")  # fmt: skip
    button.click()
    down = [float(text.split()[0]) for text in column(tab, grid, place)]
    assert down == sorted(down, reverse=True)
    head = grid.locator("thead th").nth(place - 1)
    assert head.get_attribute("aria-sort") == "descending"
    button.focus()
    tab.keyboard.press("Enter")
    up = [float(text.split()[0]) for text in column(tab, grid, place)]
    assert up == sorted(down)
    assert head.get_attribute("aria-sort") == "ascending"


def test_hovering_a_point_says_row_share_and_interval(browser, made):
    opened = Opened(browser, made)
    chart = opened.tab.locator("[data-picture=figure1-midog2022-random]")
    chart.scroll_into_view_if_needed()
    chart.locator(".mark-symbol path").nth(5).hover(force=True)
    tip = opened.tab.locator("#vg-tooltip-element")
    tip.wait_for(state="visible")
    said = tip.inner_text()
    assert "Training cells" in said
    assert "Interval" in said
    assert "linear probe" in said
    assert opened.wrong == []


def test_a_number_leads_to_its_file_and_names_its_rule(browser, made):
    tab = Opened(browser, made).tab
    link = tab.locator("#table2 td a").first
    assert link.get_attribute("title") == "rule table2"
    target = (made.parent / link.get_attribute("href")).resolve()
    assert target == made.parent / "table2.csv"
    with tab.expect_download() as download:  # a browser offers a CSV for download
        link.click()
    assert Path(download.value.path()).read_bytes() == target.read_bytes()


def test_cells_are_chosen_and_rows_are_brought_out(browser, made):
    opened = Opened(browser, made)
    tab = opened.tab
    figure = tab.locator("#differences-all")
    before = figure.locator(".chart").inner_html()
    choice = figure.locator("select")
    choice.select_option(index=0)
    redrawn = "before => document.querySelector('#differences-all .chart').innerHTML != before"
    tab.wait_for_function(redrawn, arg=before)
    tab.locator(".legend input").first.check()
    marks = tab.locator("[data-picture=figure1-midog2022-random] .mark-symbol path")
    marks.and_(tab.locator("[opacity='0.08']")).first.wait_for(state="attached")
    opacity = {marks.nth(n).get_attribute("opacity") for n in range(marks.count())}
    assert opacity == {"1", "0.08"}
    assert opened.wrong == []


def test_a_folded_table_is_built_when_it_is_opened(browser, made):
    tab = Opened(browser, made).tab
    fold = tab.locator("#figure2 details.table").first
    assert fold.locator("table").count() == 0
    fold.locator("summary").click()
    fold.locator("tbody tr").nth(24).wait_for(state="attached")  # rows are built after the click
    assert fold.locator("tbody tr").count() == 25


def test_metrics_are_chosen_downloaded_and_copied(browser, made):
    opened = Opened(browser, made, permissions=["clipboard-read", "clipboard-write"])
    tab, choice = opened.tab, opened.tab.locator("#choice")
    choice.get_by_label("Brier score").check()
    choice.get_by_label("AUROC").uncheck()
    choice.get_by_label("Dataset").select_option("CCMCT")
    choice.get_by_text("Copy as Markdown").click()
    first, _, *lines = tab.evaluate("navigator.clipboard.readText()").splitlines()
    assert first == "| Row | Balanced accuracy | Brier score |"
    assert len(lines) == 9 and "(" in lines[0]
    choice.get_by_text("Copy as LaTeX").click()
    said = tab.evaluate("navigator.clipboard.readText()")
    assert said.startswith("% CCMCT, ") and said.count("\\\\") == 10
    with tab.expect_download() as download:
        choice.get_by_text("Download as CSV").click()
    head, *rows = Path(download.value.path()).read_text(encoding="utf-8").splitlines()
    assert head.endswith("balanced_accuracy_low,balanced_accuracy_high,brier,brier_low,brier_high")
    assert len(rows) == 9
    assert opened.wrong == []


def test_without_javascript_the_metrics_are_tables(browser, made):
    tab = browser.new_context(java_script_enabled=False).new_page()
    tab.goto(made.as_uri())
    tables = tab.locator("#metrics noscript table")
    assert tables.first.locator("tbody tr").count() == 9
    assert tables.count() > 10
    assert not tab.locator("#choice").is_visible()


def test_a_sheet_of_the_atlas_opens(browser, made):
    opened = Opened(browser, made)
    group = opened.tab.locator("#atlas details.group").nth(1)
    assert not group.locator("img").first.is_visible()
    group.locator("summary").click()
    image = group.locator("img").first
    assert image.evaluate("image => image.naturalWidth") == 120
    image.click()
    opened.tab.wait_for_url("**/sheets/errors.*.jpg")
    assert opened.wrong == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_violation(browser, made, scheme):
    from axe_playwright_python.sync_playwright import Axe

    opened = Opened(browser, made, color_scheme=scheme, bypass_csp=True)
    for fold in opened.tab.locator("details.table > summary").all()[:3]:
        fold.click()
    found = Axe().run(opened.tab).response["violations"]
    serious = {v["id"]: v["nodes"][0]["html"][:200] for v in found
               if v["impact"] in ("serious", "critical")}  # fmt: skip
    assert serious == {}


def test_on_a_phone_nothing_is_wider_than_the_screen(browser, made):
    opened = Opened(browser, made, viewport={"width": 390, "height": 844})
    assert opened.tab.evaluate("document.documentElement.scrollWidth") <= 390
    assert opened.wrong == []


def test_in_print_there_are_no_controls(browser, made):
    opened = Opened(browser, made)
    opened.tab.emulate_media(media="print")
    assert not opened.tab.locator("nav").is_visible()
    assert opened.tab.locator("#table2 table").is_visible()
    assert opened.tab.pdf(format="A4").startswith(b"%PDF")


@pytest.mark.parametrize("rows", [2, 45])
def test_few_rows_and_many_are_drawn_without_an_error(browser, tmp_path, rows):
    opened = Opened(browser, make_page(tmp_path, rows, ("midog2022", "ccmct")))
    assert opened.wrong == []
    charts = opened.tab.locator(".chart svg")
    assert charts.count() == opened.tab.locator(".chart").count() >= 5


def test_the_demos_page_opens_without_an_error(browser):
    if not DEMO.exists():
        pytest.skip("the demo has not been made here: make demo")
    opened = Opened(browser, DEMO)
    assert opened.wrong == []
    assert "invented tissue" in opened.tab.locator(".notice").inner_text()
    charts = opened.tab.locator(".chart svg")
    assert charts.count() == opened.tab.locator(".chart").count() >= 10
