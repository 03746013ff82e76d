"""AUROC of each model against the size of the crop around the cell."""

from pathlib import Path

import numpy as np
import pandas as pd

from cryotome.core.cards import Card
from cryotome.core.errors import CardError, StoreError
from cryotome.data.image_files import find_image
from cryotome.data.images import microns_per_pixel, open_image
from cryotome.evaluation.statistics.clustered_auroc import auroc_interval, difference_interval
from cryotome.evaluation.statistics.paired_scores import Setting
from cryotome.evaluation.statistics.rows import Rows
from cryotome.study.facts import ContextFacts
from cryotome.study.schemes import SCANNER, Scheme

COLUMNS = ["dataset", "base_dataset", "side", "um", "model", "base_model", "pooling", "head"]
COLUMNS += ["scheme", "fraction", "where", "auroc", "low", "high", "n"]
COLUMNS += ["gap", "gap_low", "gap_high", "note"]


def patch_resolution(cells: pd.DataFrame, folder: Path, card: Card) -> float:
    """Return µm per patch px of a dataset: the median over its images, NaN where one is unknown.

    Parameters
    ----------
    cells
        The table of cells, with the names of the images.
    folder
        Folder of the images.
    """
    target = card["patch"]["resolution"]
    if target != "native":
        return float(target)
    found = []
    for name in cells["image"].unique():
        path = find_image(folder, str(name))
        try:
            how = {"overrides": card.get("mpp_overrides_file")}
            found.append(microns_per_pixel(open_image(path), path, card.get("mpp"), **how))
        except CardError:  # neither image nor card has it: the crop is known in px alone
            return float("nan")
    return float(np.median(found))


def crop_extent(scheme: str, tested: str) -> str:
    """Return which domains a setting tests: `in`, `out`, `all`; empty where another covers it.

    >>> crop_extent("from_*", "out"), crop_extent("except_*", "domains")
    ('out', 'out')
    >>> crop_extent("from_lung", "out"), crop_extent("random", "domains")
    ('', '')
    """
    named = Scheme.parse(scheme)
    if named != named.every or named.is_by_scanner or tested.startswith(SCANNER):
        return ""  # one domain of several, or what scanners it takes
    if not named.is_pooled and not named.is_cross_domain:
        return "out"
    return "" if tested == "domains" else tested


def context_table(
    settings: dict[Setting, Rows], sweep: ContextFacts, um: dict[str, float], alpha: float
) -> pd.DataFrame:
    """Lay out the AUROC of every model under each crop and pooling, on the same cells.

    Parameters
    ----------
    settings
        Rows of all crops.
    um
        Base dataset of crops to µm per patch px.
    alpha
        The level at which slides are too few.

    Returns
    -------
    data frame with columns dataset, base_dataset, side, um, model, base_model, pooling, head,
    scheme, fraction, where, auroc, low, high, n, gap, gap_low, gap_high, note; and mpp, µm per px,
    where the study sweeps resolutions
        side: of the crop, px of the dataset's own; n: test cells; low, high: 95 %, slides as the
        unit; gap: the AUROC minus that of the same model at the largest crop, slides paired.

    Raises
    ------
    StoreError
        Two crops were not tested on the same cells.
    """
    lines = []
    for (dataset, scheme, fraction, tested), rows in settings.items():
        where, (base, side) = crop_extent(scheme, tested), sweep.crops[dataset]
        if not where:
            continue
        largest = _largest_crop(base, sweep)
        reference = settings[largest, scheme, fraction, tested]
        _check_cells(rows, reference, (dataset, largest, scheme))
        crop = (dataset, base, side, side * um[base])
        for row in rows.influences:
            model, head = row.split(" + ")
            names = (*crop, model, *sweep.models[model], head, scheme, float(fraction), where)
            lines.append((*names, *_measured(rows, reference, row), rows.note(row, alpha)))
    table = pd.DataFrame(lines, columns=COLUMNS)
    if sweep.resolutions:
        table["mpp"] = table["dataset"].map(sweep.resolutions)
    return table.sort_values(["base_dataset", "side"], kind="stable", ignore_index=True)


def _largest_crop(base: str, sweep: ContextFacts) -> str:
    """Return the dataset with the largest crop of another, at the finest resolution."""
    crops = [
        (side, -sweep.resolutions.get(name, 0), name)
        for name, (of, side) in sweep.crops.items()
        if of == base
    ]
    return max(crops)[-1]


def _measured(rows: Rows, reference: Rows, row: str) -> tuple[float, ...]:
    """Return auroc, low, high, n, gap, gap_low, gap_high of a row."""
    slides = rows.influences[row]
    n = len(np.unique(np.concatenate([part["id"].to_numpy() for part in rows.scores.parts])))
    span = auroc_interval(slides.auroc, slides.error, freedom=slides.freedom)
    gap = slides.minus(reference.influences[row])
    paired = difference_interval(gap.auroc, gap.error, freedom=gap.freedom)
    return (slides.auroc, *span, n, gap.auroc, *paired)


def _check_cells(rows: Rows, reference: Rows, names: tuple[str, str, str]) -> None:
    pairs = zip(rows.scores.parts, reference.scores.parts, strict=True)
    if not all(np.array_equal(one["id"], other["id"]) for one, other in pairs):
        raise StoreError(
            f"{names[0]} and {names[1]} were not tested on the same cells under {names[2]}. Delete "
            "their splits and rerun."
        )
