"""How much of the slide around a cell a model needs: AUROC against the crop, a line a model."""

from pathlib import Path

import numpy as np
import pandas as pd

from cryotome.core import plotting as drawing  # noqa: F401  # text as written
from cryotome.core.cards import Card
from cryotome.core.errors import CardError, StoreError
from cryotome.data.images import find_image, microns_per_pixel, open_image
from cryotome.evaluation.statistics.clustered_auroc import auroc_interval, difference_interval
from cryotome.evaluation.statistics.rows import Rows
from cryotome.study.schemes import Scheme

COLUMNS = ["dataset", "base_dataset", "side", "um", "model", "base_model", "pooling", "head"]
COLUMNS += ["scheme", "fraction", "where", "auroc", "low", "high", "n"]
COLUMNS += ["gap", "gap_low", "gap_high", "note"]


def resolution(cells: pd.DataFrame, folder: Path, card: Card) -> float:
    """Return µm per patch px of a dataset: the median over its images, NaN where one does not say.

    Parameters
    ----------
    cells
        The table of cells, which names the images.
    folder
        Folder of the images.
    """
    said = card["patch"]["resolution"]
    if said != "native":
        return float(said)
    found = []
    for name in cells["image"].unique():
        path = find_image(folder, str(name))
        try:
            how = {"overrides": card.get("mpp_overrides_file")}
            found.append(microns_per_pixel(open_image(path), path, card.get("mpp"), **how))
        except CardError:  # neither image nor card says: the crop has px alone
            return float("nan")
    return float(np.median(found))


def crop_extent(scheme: str, tested: str) -> str:
    """Return where a block tests: `in`, `out` or `all` domains; nothing where another block does.

    >>> crop_extent("from_*", "out"), crop_extent("except_*", "domains")
    ('out', 'out')
    >>> crop_extent("from_lung", "out"), crop_extent("random", "domains")
    ('', '')
    """
    named = Scheme.parse(scheme)
    if named != named.every:  # one domain of several
        return ""
    if not named.is_pooled and not named.is_cross_domain:
        return "out"
    return "" if tested == "domains" else tested


def context_table(blocks: dict, sweep: Card, um: dict[str, float], alpha: float) -> pd.DataFrame:
    """Lay out the AUROC of every model under each crop and pooling, on the same cells.

    Parameters
    ----------
    blocks
        (dataset, scheme, fraction, tested) to `Rows`, of all crops.
    sweep
        The study's `sweep`.
    um
        Dataset that crops are of to µm per patch px.
    alpha
        The level at which slides are too few.

    Returns
    -------
    data frame with columns dataset, base_dataset, side, um, model, base_model, pooling, head,
    scheme, fraction, where, auroc, low, high, n, gap, gap_low, gap_high, note
        side: of the crop, px; n: test cells; low, high: 95 %, slides as the unit; gap: less
        the AUROC of the same model at the largest crop, slides paired.

    Raises
    ------
    StoreError
        Two crops were not tested on the same cells.
    """
    lines = []
    for (dataset, scheme, fraction, tested), rows in blocks.items():
        where, (base, side) = crop_extent(scheme, tested), sweep["crops"][dataset]
        if not where:
            continue
        largest = max((size, name) for name, (of, size) in sweep["crops"].items() if of == base)[1]
        whole = blocks[largest, scheme, fraction, tested]
        _check_cells(rows, whole, (dataset, largest, scheme))
        n = len(np.unique(np.concatenate([part["id"].to_numpy() for part in rows.block.parts])))
        for row, slides in rows.influences.items():
            model, head = row.split(" + ")
            place = (dataset, base, side, side * um[base], model, *sweep["models"][model], head)
            span = auroc_interval(slides.auroc, slides.error, freedom=slides.freedom)
            gap = slides.minus(whole.influences[row])
            paired = difference_interval(gap.auroc, gap.error, freedom=gap.freedom)
            measured = (slides.auroc, *span, n, gap.auroc, *paired, rows.note(row, alpha))
            lines.append((*place, scheme, float(fraction), where, *measured))
    table = pd.DataFrame(lines, columns=COLUMNS)
    return table.sort_values(["base_dataset", "side"], kind="stable", ignore_index=True)


def _check_cells(rows: Rows, whole: Rows, names: tuple[str, str, str]) -> None:
    pairs = zip(rows.block.parts, whole.block.parts, strict=True)
    if not all(np.array_equal(one["id"], other["id"]) for one, other in pairs):
        raise StoreError(
            f"{names[0]} and {names[1]} were not tested on the same cells under {names[2]}. Delete "
            "their splits and rerun."
        )
