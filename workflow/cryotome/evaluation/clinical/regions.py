"""Regions in which a pathologist counts: their area, and which of them a fold tests whole."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from cryotome.core.cards import Card
from cryotome.study.schemes import Scheme

ROI_MM2 = 2.0  # of a MIDOG region, by definition
PARTED = 0.5  # share of a domain's test cells on whole regions, in a fold that parts regions


@dataclass(frozen=True)
class Fold:
    """One fold of one scheme, as every row of the study meets it.

    Attributes
    ----------
    trained
        Domains with a training cell.
    whole : (n,) bool
        Of each cell of the dataset, whether its region is tested whole.
    """

    scheme: str
    number: int
    trained: frozenset[str]
    whole: np.ndarray


def areas_of(card: Card) -> dict[str, float]:
    """Return the mm² that a region of each domain measures, as a dataset's card says.

    >>> areas_of({"domains": {"lung": {}}, "mpp": "roi_2mm2"})
    {'lung': 2.0}
    >>> areas_of({"domains": {"lung": {}}})
    {}
    """
    known: float | Card = ROI_MM2 if card.get("mpp") == "roi_2mm2" else {}
    said = card.get("area_mm2", known)
    return said if isinstance(said, dict) else dict.fromkeys(card["domains"], float(said))


def join_regions(cells: pd.DataFrame, areas: dict[str, float]) -> pd.DataFrame:
    """Give each cell its region, and its share of the region's area.

    Parameters
    ----------
    cells
        The cells that a study uses.
    areas
        Domain to mm² of each of its regions.

    Returns
    -------
    data frame with columns id, slide, region, domain (categories), label, mm2
        A region is an image; where every image is that of one cell, it is a slide, and where
        the slide is not known either, nobody counts in it (`fully_tested_regions`). mm2 is its
        area over its cells, NaN where unknown, so that the cells of a whole region add up to its
        area, and those of a random share of it to that share.
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
    """Tell of each cell whether every cell of its region is tested, (n,) bool.

    A fold that draws cells tests a region of one or two cells whole by chance. Such regions
    are no sample, so that a domain counts only where at least half of its test cells lie on
    whole regions. Crops of one cell each, whose slides have no other name, are no regions.

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
    share = whole[tested].groupby(cells.loc[tested, "domain"], observed=True).mean()
    parted = cells["domain"].astype(str).map(share) >= PARTED
    return (whole & parted).to_numpy()


def read_fold(scheme: str, number: int, cells: pd.DataFrame, roles: pd.DataFrame) -> Fold:
    """Read from a split what its fold trains on, and which regions it tests whole."""
    train = cells["id"].isin(roles.loc[roles["role"] == "train", "id"])
    trained = frozenset(cells.loc[train, "domain"].astype(str))
    return Fold(scheme, number, trained, fully_tested_regions(cells, roles))


def name_domain_set(trained: frozenset[str], domains: list[str]) -> str:
    """Name the domains that a fold trains on: the one, `all`, or all `except_` some.

    >>> name_domain_set(frozenset({"a", "b"}), ["a", "b", "c"])
    'except_c'
    >>> named(frozenset({"a"}), ["a"]), name_domain_set(frozenset({"a", "b"}), ["a", "b"])
    ('a', 'all')
    """
    if len(trained) == 1:
        return next(iter(trained))
    lacking = sorted(set(domains) - trained)
    return f"except_{'_'.join(lacking)}" if lacking else "all"


def pooled_schemes(scheme: str) -> list[str]:
    """Return a scheme, and the name under which the schemes of all domains are pooled.

    >>> pooled_schemes("random"), pooled_schemes("except_lung_matched")
    (['random'], ['except_lung_matched', 'except_*_matched'])
    """
    return list(dict.fromkeys([scheme, str(Scheme.parse(scheme).every)]))
