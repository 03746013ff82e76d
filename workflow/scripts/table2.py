"""Average in domain and out of domain, published numbers beside."""

from pathlib import Path

import pandas as pd

from cryotome.job import run
from cryotome.paths import written_whole
from cryotome.tables import read_scores, table2, table2_sd


def main(
    scores: list[Path], published: Path, table: Path, sd: Path, rows: dict, study: str
) -> None:
    tidy = read_scores(scores, rows)
    with written_whole(table) as beside:
        table2(tidy, pd.read_csv(published), study=study, rows=rows).to_csv(beside, index=False)
    with written_whole(sd) as beside:
        table2_sd(tidy, study=study).to_csv(beside, index=False)


if __name__ == "__main__":
    run(main)
