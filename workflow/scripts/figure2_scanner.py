"""Draw the matrices of training scanner against test scanner."""

from pathlib import Path

from cryotome.core.tables import save_csv
from cryotome.report.figures.canvas import save_figure
from cryotome.report.figures.ganz2024 import draw_figure2, figure2_data
from cryotome.report.tables.ganz2024 import read_scores
from cryotome.runtime.job import run_script
from cryotome.study.facts import RowFacts
from cryotome.study.scanners import scanner_titles


def main(scores: list[Path], table: Path, pdf: Path, png: Path, facts: RowFacts) -> None:
    result = figure2_data(read_scores(scores, facts), facts)
    save_csv(result.assign(study=facts.study), table)
    titles = {name: scanner_titles(card) for name, card in facts.scanners.items()}
    save_figure(draw_figure2(result, facts, titles), pdf, png)


if __name__ == "__main__":
    run_script(main)
