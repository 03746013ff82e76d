"""Find what is odd about a dataset's cells before any split is drawn."""

import sys
from pathlib import Path

from cryotome.core import step_versions
from cryotome.core.tables import save_csv
from cryotome.data.audit import example_rows, find_oddities, raise_if_refused, summarise_audit
from cryotome.data.cells import load_cells
from cryotome.data.patches import patch_view
from cryotome.report.figures.canvas import draw_sheet, save_figure
from cryotome.runtime.job import run_script
from cryotome.study.site import folder_of
from cryotome.study.statistical_unit import is_unknown


def main(
    cells: Path, patches: Path, table: Path, sheet: Path, recipe: int, card: dict, policies: dict,
    dataset: str, data_root: Path,
) -> None:  # fmt: skip
    assert recipe == step_versions.AUDIT
    of_cells = load_cells(cells)
    folder = folder_of(card, data_root) / card["images"]
    findings = find_oddities(of_cells, patches, folder, card, policies)
    raise_if_refused(findings, policies, dataset)
    known = not is_unknown(card)
    print(
        summarise_audit(of_cells, findings, policies, dataset, slides_known=known), file=sys.stderr
    )
    save_csv(findings, table)
    classes = [entry["name"] for entry in card["classes"]]
    named = of_cells.assign(label=of_cells["label"].map(dict(enumerate(classes))))
    pictures = patch_view(patches, example_rows(named, findings, columns=8))
    side, scale = card["patch"]["side"], card["patch"]["resolution"]
    title = f"{dataset}: {side} px, {scale}{'' if scale == 'native' else ' µm/px'}"
    save_figure(draw_sheet(pictures, title, card.get("synthetic", "")), sheet)


if __name__ == "__main__":
    run_script(main)
