"""Average in domain and out of domain, published numbers beside."""

from pathlib import Path

import pandas as pd

from cryotome.job import run
from cryotome.paths import written_whole
from cryotome.tables import caption, printed, read_scores, table2, table2_sd, to_latex, to_markdown


def main(
    scores: list[Path],
    published: Path,
    intervals: Path,
    verdicts: Path,
    table: Path,
    markdown: Path,
    latex: Path,
    sd: Path,
    rows: dict,
    study: str,
) -> None:
    tidy = read_scores(scores, rows)
    result = table2(tidy, pd.read_csv(published), study=study, rows=rows)
    cells, text = (
        printed(result, rows["labels"], *map(pd.read_csv, (intervals, verdicts))),
        caption(study, rows),
    )
    with written_whole(table) as beside:
        result.to_csv(beside, index=False)
    with written_whole(sd) as beside:
        table2_sd(tidy, study=study).to_csv(beside, index=False)
    with written_whole(markdown) as beside:
        beside.write_text(to_markdown(cells, text))
    with written_whole(latex) as beside:
        beside.write_text(to_latex(cells, text))


if __name__ == "__main__":
    run(main)
