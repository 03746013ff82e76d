"""Put what a study found on one page that needs no network."""

from pathlib import Path

from cryotome.report.page.page import write_page
from cryotome.runtime.job import run_script
from cryotome.study.facts import PageFacts


def main(
    tables: list[Path],
    atlases: list[Path],
    audits: list[Path],
    leakage: list[Path],
    page: Path,
    facts: PageFacts,
) -> None:
    write_page(page, facts)


if __name__ == "__main__":
    run_script(main)
