"""Measure how much slides, scanners and domains decide which embeddings are alike."""

from pathlib import Path

from cryotome.core.charts import save_chart
from cryotome.core.files import sha256
from cryotome.core.tables import save_csv
from cryotome.data.cells import load_cells
from cryotome.encoders.embedding_store import read_embeddings
from cryotome.evaluation.robustness import table as measure
from cryotome.evaluation.statistics.rows import load_rows
from cryotome.report.figures.robustness import draw_robustness
from cryotome.runtime.job import run_script
from cryotome.study.facts import RowFacts
from cryotome.study.robustness import RobustnessFacts


def main(
    cells: list[Path], embeddings: list[Path], predictions: list[Path], calibration: Path,
    table: Path, correlations: Path, pdf: Path, png: Path, facts: RowFacts, how: RobustnessFacts,
) -> None:  # fmt: skip
    draws = facts.statistics.draws
    tables = {path.stem: load_cells(path) for path in cells}
    hashes = {path.stem: sha256(path) for path in cells}
    slides = {name: of["slide"].astype(str).unique() for name, of in tables.items()}
    stores = (
        (*of, *read_embeddings(path, model=of[1], view=how.view, cells_sha256=hashes[of[0]])[:2])
        for path, of in zip(embeddings, how.stores, strict=True)
    )
    measured = list(measure.measure_stores(stores, tables, how, draws))
    settings = load_rows(cells, predictions, calibration, facts) if predictions else {}
    losses = measure.out_of_domain_losses(settings, slides, draws)
    result = measure.robustness_table(measured, losses, how)
    save_csv(facts.with_study(result), table)
    save_csv(facts.with_study(measure.correlate_with_loss(result, measured, losses)), correlations)
    save_chart(draw_robustness(result, facts), pdf, png)


if __name__ == "__main__":
    run_script(main)
