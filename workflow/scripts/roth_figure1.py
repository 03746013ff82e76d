"""Draw Figure 1 of Roth et al. 2024: performance against the hours of training on tissue."""

import json
from pathlib import Path

import pandas as pd

from cryotome.core.charts import save_chart
from cryotome.core.tables import read_csv, save_csv
from cryotome.report.figures.roth2024_hours import (
    cumulative_hours,
    draw_figure1,
    figure1_data,
    published_hours,
)
from cryotome.runtime.job import run_script
from cryotome.study.facts import RothFacts


def main(
    slides: list[Path], patches: list[Path], costs: list[Path], published: Path, table: Path,
    pdf: Path, png: Path, facts: RothFacts,
) -> None:  # fmt: skip
    notes = {
        path.stem: cumulative_hours(json.loads(path.read_text(encoding="utf-8"))) for path in costs
    }
    spent = {model: notes[made] for model, made in facts.finetuned.items() if made in notes}
    hours = published_hours(pd.read_csv(published, dtype=str, keep_default_na=False))
    tables = [read_csv(path) for path in (*slides, *patches)]
    result = figure1_data(tables, spent, hours, facts)
    save_csv(result.assign(study=facts.study), table)
    save_chart(draw_figure1(result, facts), pdf, png)


if __name__ == "__main__":
    run_script(main)
