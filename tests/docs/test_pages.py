"""Pages can be read: short sentences and lines, headings, who needs a page, and what comes next."""

import re

import pytest
from conftest import ROOT

DOCS = ROOT / "docs"
INDEX = DOCS / "README.md"
GENERATED = [  # by docs/generate.py from cards and packages, which say what they say
    "reference/models.md",
    "reference/third-party-licences.md",
]
HAND_WRITTEN = [
    page
    for page in sorted(DOCS.rglob("*.md"))
    if page.relative_to(DOCS).as_posix() not in GENERATED
    and page.parent.name != "decisions"  # short records of a choice, kept as they were taken
]
READ = [ROOT / "README.md", *HAND_WRITTEN]
NAMES = [page.relative_to(ROOT).as_posix() for page in READ]


def without_code(page) -> str:
    return re.sub(r"^```.*?^```\n", "\n", page.read_text(encoding="utf-8"), flags=re.M | re.S)


def prose(page) -> list[str]:
    """Return the sentences of a page: of its paragraphs and list items, not of tables."""
    lines = [
        "" if line.startswith(("#", "|", "!", "<")) else line
        for line in without_code(page).splitlines()
    ]
    text = re.sub(r"\n *([*-]|\d+\.) ", "\n\n", "\n".join(lines))
    text = re.sub(r"`[^`]+`", "code", text)
    text = re.sub(r"\[([^]]+)\]\([^)]+\)", r"\1", text)
    paragraphs = [" ".join(block.split()) for block in re.split(r"\n\s*\n", text)]
    return [
        sentence
        for paragraph in paragraphs
        for sentence in re.split(r"(?<=[.!?])[*_)\"]* (?=[A-Z0-9*(_\"]|code)", paragraph)
        if sentence
    ]


def words(sentence: str) -> int:
    return sum(any(letter.isalnum() for letter in word) for word in sentence.split())


@pytest.mark.parametrize("page", READ, ids=NAMES)
def test_no_sentence_has_more_than_25_words(page):
    assert [said for said in prose(page) if words(said) > 25] == []


@pytest.mark.parametrize("page", [*READ, *sorted((DOCS / "decisions").glob("*.md"))])
def test_no_line_has_more_than_100_characters(page):
    lines = page.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if len(line) > 100 and not line.startswith("|")] == []


@pytest.mark.parametrize("page", READ, ids=NAMES)
def test_a_heading_stands_at_least_every_15_lines_of_text(page):
    parts = re.split(r"^#+ ", without_code(page), flags=re.M)
    for part in parts:
        text = [line for line in part.splitlines()[1:] if line and not line.startswith("|")]
        assert len(text) <= 15, part.splitlines()[0]


@pytest.mark.parametrize("page", [*HAND_WRITTEN, *(DOCS / name for name in GENERATED)])
def test_a_page_says_first_who_needs_it(page):
    lines = [line for line in page.read_text(encoding="utf-8").splitlines() if line]
    assert re.match(r"# \S", lines[0])
    assert lines[1].startswith("**For** ")


def test_the_last_line_of_each_page_leads_to_the_next_in_the_order_of_the_site():
    page, seen = INDEX, []
    while page not in seen:
        seen.append(page)
        last = page.read_text(encoding="utf-8").splitlines()[-1]
        (link,) = re.findall(r"^Next: \[[^]]+\]\(([^)]+\.md)\)$", last)
        page = (page.parent / link).resolve()
    assert page == INDEX
    site = re.findall(r"\S+\.md$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.M)
    assert [DOCS / name for name in site if DOCS / name in HAND_WRITTEN] == seen
    assert sorted(seen) == HAND_WRITTEN


def test_the_readme_has_at_most_90_lines_and_a_page_of_results_80():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 90
    for page in (DOCS / "results").glob("*.md"):
        assert len(page.read_text(encoding="utf-8").splitlines()) <= 80, page.name
