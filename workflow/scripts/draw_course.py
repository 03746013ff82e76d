"""Draw Figure 2 of paper 002: performance over the iterations of finetuning."""

from pathlib import Path

from cryotome.colorectal_figures import draw_figure2, figure2_data
from cryotome.colorectal_tables import VALIDATION, read_summaries
from cryotome.figures import save_figure
from cryotome.job import run
from cryotome.paths import written_whole


def main(scores: list[Path], table: Path, pdf: Path, png: Path, about: dict) -> None:
    result = figure2_data(read_summaries(scores), read_summaries(scores, fold=VALIDATION), about)
    with written_whole(table) as beside:
        result.assign(study=about["study"]).to_csv(beside, index=False)
    save_figure(draw_figure2(result, about), pdf, png)


if __name__ == "__main__":
    run(main)
