"""Format Table 2 for people: intervals in its cells, and whether published numbers agree."""

from pathlib import Path

from cryotome.core.files import atomic_write
from cryotome.core.tables import read_csv
from cryotome.report.tables.markup import table2_caption, table2_cells, to_latex, to_markdown
from cryotome.runtime.job import run_script
from cryotome.study.facts import RowFacts


def main(
    table: Path, intervals: Path, verdicts: Path, markdown: Path, latex: Path, facts: RowFacts
) -> None:
    result, measured, said = (read_csv(path) for path in (table, intervals, verdicts))
    cells, text = table2_cells(result, facts.labels, measured, said), table2_caption(facts)
    with atomic_write(markdown) as beside:
        beside.write_text(to_markdown(cells, text), encoding="utf-8")
    with atomic_write(latex) as beside:
        beside.write_text(to_latex(cells, text), encoding="utf-8")


if __name__ == "__main__":
    run_script(main)
