"""Regions in which mitoses are counted: their area, and which are tested whole by a fold."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from cryotome.core.cards import Card
from cryotome.study.schemes import Scheme

ROI_MM2 = 2.0  # of a MIDOG region, by definition
MIN_WHOLE_FRACTION = 0.5  # of a domain's test cells, to lie in wholly tested regions


@dataclass(frozen=True)
class FoldRegions:
    """Training domains and wholly tested regions of one fold, the same for every row.

    Attributes
    ----------
    trained
        Domains with a training cell.
    whole : (n,) bool
        Of each cell of the dataset, whether all cells of its region are test cells.
    """

    scheme: str
    number: int
    trained: frozenset[str]
    whole: np.ndarray


def region_areas(card: Card) -> dict[str, float]:
    """Return the area of a region of each domain, mm², from a dataset's card.

    >>> region_areas({"domains": {"lung": {}}, "mpp": "roi_2mm2"})
    {'lung': 2.0}
    >>> region_areas({"domains": {"lung": {}}})
    {}
    """
    known: float | Card = ROI_MM2 if card.get("mpp") == "roi_2mm2" else {}
    area = card.get("area_mm2", known)
    return area if isinstance(area, dict) else dict.fromkeys(card["domains"], float(area))


def join_regions(cells: pd.DataFrame, areas: dict[str, float]) -> pd.DataFrame:
    """Add to each cell its region and its part of the region's area.

    Parameters
    ----------
    cells
        The cells that a study uses.
    areas
        Domain to mm² of each of its regions.

    Returns
    -------
    data frame with columns id, slide, region, domain (categories), label, mm2
        A region is an image; where every image has one cell, a slide; where slides are not
        known either, no region is tested whole (`fully_tested_regions`). mm2: area of the
        region divided by its cells, NaN where unknown; the cells of a whole region sum to its
        area, those of a random part to that part.
    """
    unit = "image" if cells["image"].duplicated().any() else "slide"
    region = cells[unit].astype("category")
    area = cells["domain"].map(areas).astype(float)
    return pd.DataFrame(
        {
            "id": cells["id"],
            "slide": cells["slide"].astype("category"),
            "region": region,
            "domain": cells["domain"].astype("category"),
            "label": cells["label"],
            "mm2": area / region.map(region.value_counts()).astype(float),
        }
    ).reset_index(drop=True)


def fully_tested_regions(cells: pd.DataFrame, roles: pd.DataFrame) -> np.ndarray:
    """Return for each cell whether every cell of its region is tested, (n,) bool.

    Folds of random cells happen to test regions of one or two cells whole. These are not a
    fair sample, so a domain counts only where at least half of its test cells lie in whole
    regions. Crops of one cell each, with slides of one cell, are no regions.

    Parameters
    ----------
    cells
        From `join_regions`.
    roles
        A split: columns id, role; cells in no role are absent.
    """
    if not cells["region"].duplicated().any():
        return np.zeros(len(cells), dtype=bool)
    tested = cells["id"].isin(roles.loc[roles["role"] == "test", "id"])
    whole = tested.groupby(cells["region"], observed=True).transform("all")
    fraction = whole[tested].groupby(cells.loc[tested, "domain"], observed=True).mean()
    mostly_whole = cells["domain"].astype(str).map(fraction) >= MIN_WHOLE_FRACTION
    return (whole & mostly_whole).to_numpy()


def read_fold(scheme: str, number: int, cells: pd.DataFrame, roles: pd.DataFrame) -> FoldRegions:
    """Read the training domains and wholly tested regions of a fold from its split."""
    train = cells["id"].isin(roles.loc[roles["role"] == "train", "id"])
    trained = frozenset(cells.loc[train, "domain"].astype(str))
    return FoldRegions(scheme, number, trained, fully_tested_regions(cells, roles))


def name_domain_set(trained: frozenset[str], domains: list[str]) -> str:
    """Name the domains that a fold trains on: one domain, `all`, or `except_` the others.

    >>> name_domain_set(frozenset({"a", "b"}), ["a", "b", "c"])
    'except_c'
    >>> name_domain_set(frozenset({"a"}), ["a"]), name_domain_set(frozenset({"a", "b"}), ["a", "b"])
    ('a', 'all')
    """
    if len(trained) == 1:
        return next(iter(trained))
    others = sorted(set(domains) - trained)
    return f"except_{'_'.join(others)}" if others else "all"


def pooled_schemes(scheme: str) -> list[str]:
    """Return a scheme, and the name under which the schemes of all domains are pooled.

    >>> pooled_schemes("random"), pooled_schemes("from_lung")
    (['random'], ['from_lung', 'from_*'])
    >>> pooled_schemes("except_lung_matched")
    ['except_lung_matched', 'except_*_matched']
    """
    return list(dict.fromkeys([scheme, str(Scheme.parse(scheme).every)]))
