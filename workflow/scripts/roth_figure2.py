"""Draw Figure 2 of Roth et al. 2024: performance over the iterations of finetuning."""

from pathlib import Path

import pandas as pd

from cryotome.core.charts import save_chart
from cryotome.core.tables import read_csv, save_csv
from cryotome.evaluation.measured import VALIDATION, read_summaries
from cryotome.report.figures.roth2024_checkpoints import draw_figure2, figure2_data, is_held_out
from cryotome.runtime.job import run_script
from cryotome.study.facts import RothFacts


def main(
    scores: list[Path], curve: list[Path], table: Path, pdf: Path, png: Path, facts: RothFacts
) -> None:
    tested, held = read_summaries(scores), [read_summaries(scores, fold=VALIDATION)]
    for path in curve:  # of patches; slides are validated on patients
        heads = sorted({row.head for row in facts.rows_of["patches"]})
        held.append(is_held_out(read_csv(path), facts.checkpoints["patches"], heads))
    result = figure2_data(tested, pd.concat(held), facts)
    save_csv(result.assign(study=facts.study), table)
    save_chart(draw_figure2(result, facts), pdf, png)


if __name__ == "__main__":
    run_script(main)
