"""Draw AUROC against the side of the crop, for every pooling of every model."""

from pathlib import Path

from cryotome.core.charts import save_chart
from cryotome.core.tables import save_csv
from cryotome.data.cells import load_cells
from cryotome.evaluation.context import context_table, patch_resolution
from cryotome.evaluation.statistics.rows import load_rows
from cryotome.report.figures.context import draw_context
from cryotome.runtime.job import run_script
from cryotome.study.facts import ContextFacts, RowFacts
from cryotome.study.site import folder_of


def main(
    cells: list[Path], predictions: list[Path], calibration: Path, table: Path, pdf: Path,
    png: Path, facts: RowFacts, sweep: ContextFacts, data_root: Path,
) -> None:  # fmt: skip
    tables = {sweep.crops[path.stem][0]: load_cells(path) for path in cells}
    bases = {name: (card, folder_of(card, data_root)) for name, card in sweep.bases.items()}
    um = {
        name: patch_resolution(tables[name], folder / card["images"], card)
        for name, (card, folder) in bases.items()
    }
    # images that do not say it: where resolutions are swept, the card's own word
    um = {name: bases[name][0].get("nominal_mpp", v) if v != v else v for name, v in um.items()}
    settings = load_rows(cells, predictions, calibration, facts)
    result = facts.with_study(context_table(settings, sweep, um, facts.statistics.alpha))
    save_csv(result, table)
    save_chart(draw_context(result, sweep, facts), pdf, png)


if __name__ == "__main__":
    run_script(main)
