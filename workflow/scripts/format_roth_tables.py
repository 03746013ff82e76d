"""Format Tables 1 to 3 of Roth et al. 2024 for people."""

from pathlib import Path

from cryotome.core.files import atomic_write
from cryotome.core.tables import read_csv
from cryotome.report.tables.roth2024 import markdown_tables, slides_of_cohorts
from cryotome.runtime.job import run_script
from cryotome.study.facts import RothFacts


def main(
    slides: list[Path], patches: list[Path], tiles: list[Path], sizes: Path, markdown: Path,
    facts: RothFacts,
) -> None:  # fmt: skip
    one, two = (read_csv(paths[0]) if paths else None for paths in (slides, patches))
    with atomic_write(markdown) as beside:
        text = markdown_tables(one, two, read_csv(sizes), facts, slides_of_cohorts(tiles, facts))
        beside.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    run_script(main)
