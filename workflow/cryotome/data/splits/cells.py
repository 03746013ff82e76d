"""Splits of cells into training, validation and test, by scheme, fraction and fold."""

from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import pandas as pd

from cryotome.core.cards import Card
from cryotome.core.errors import SplitError, StoreError
from cryotome.data.overlap import pixel_boxes, sharing_pairs
from cryotome.study.schemes import Scheme

RowsByRole = dict[str, np.ndarray]  # role to rows of the table of cells, in the order drawn


@dataclass(frozen=True)
class Split:
    """Roles of cells in one fold; cells in no role are absent.

    Attributes
    ----------
    roles : data frame with columns id, role
        Sorted by id; role is `train`, `validation` or `test`.
    drawn
        `random`, or `stratified` if a random draw would have lost a class.
    """

    roles: pd.DataFrame
    drawn: str


def _floor_fraction(part: float | str, count: int) -> int:
    """Return floor(part * count), in decimal arithmetic: 0.1 means a tenth."""
    return int(Decimal(str(part)) * count)


def _keep_classes(order: np.ndarray, count: int, labels: np.ndarray) -> tuple[np.ndarray, str]:
    """Take the first `count` of `order`, and at least one cell of each class.

    A class absent from the first `count` contributes its first cell in `order`, which replaces
    the last of the others. So smaller draws remain subsets of larger ones.

    Raises
    ------
    SplitError
        There are fewer than two cells, or one class only.
    """
    taken = order[:count]
    lost = [c for c in (0, 1) if not (labels[taken] == c).any()]
    if not lost:
        return taken, "random"
    first = [order[labels[order] == c][:1] for c in lost]
    if count < 2 or not all(map(len, first)):
        raise SplitError(
            f"{count} training cells cannot hold both classes ({len(order)} cells to draw from, "
            f"{int(labels[order].sum())} positive). Raise the fraction, or leave this domain out."
        )
    return np.concatenate([taken[: count - len(first)], *first]), "stratified"


def _draw_cells(
    cells: pd.DataFrame,
    card: Card,
    fraction: str,
    rng: np.random.Generator,
    windows: pd.DataFrame | None = None,
) -> tuple[RowsByRole, str]:
    order = rng.permutation(len(cells))
    n_test = _floor_fraction(card.get("test", 0), len(cells))
    test, pool = order[:n_test], order[n_test:]
    if card["split_by"] == "cells_apart":
        if windows is None:
            raise ValueError("Cells apart from the test cells need the windows of all cells.")
        pool = pool[~_overlapping(cells, pool, test, windows)]
    drawn = _floor_fraction(fraction, len(pool))
    n_train = _floor_fraction(1 - Decimal(str(card["validation"])), drawn)  # type: ignore[arg-type]
    train, how = _keep_classes(pool, n_train, cells["label"].to_numpy())
    rest = pool[:drawn][~np.isin(pool[:drawn], train)][: drawn - n_train]
    return {"train": train, "validation": rest, "test": test}, how


def _draw_independently(
    cells: pd.DataFrame, card: Card, fraction: str, rng: np.random.Generator
) -> tuple[RowsByRole, str]:
    """Draw the fractions in turn with one generator, so that they are not nested.

    Rows are drawn by their order in the annotation file, `source_row`, as the follow-up does.
    """
    at = np.arange(len(cells))
    if "source_row" in cells:
        of_file = np.argsort(cells["source_row"].to_numpy(), kind="stable")
        parts, how = _draw_independently(
            cells.iloc[of_file].drop(columns="source_row"), card, fraction, rng
        )
        return {role: of_file[rows] for role, rows in parts.items()}, how
    test = rng.choice(at, _floor_fraction(card["test"], len(at)), replace=False)
    pool = np.setdiff1d(at, test)
    for share in card["fractions"]:
        drawn = rng.choice(pool, _floor_fraction(share, len(pool)), replace=False)
        kept = _floor_fraction(1 - Decimal(str(card["validation"])), len(drawn))  # type: ignore[arg-type]
        train = rng.choice(drawn, kept, replace=False)
        if Decimal(str(share)) == Decimal(fraction):
            break
    else:
        raise SplitError(
            f"This scheme draws the fractions {card['fractions']} in turn, not {fraction}. Use one "
            "of these, or the scheme `random`, which knows every fraction."
        )
    rest = np.setdiff1d(drawn, train)
    order = np.concatenate([train, rest, np.setdiff1d(pool, drawn)])
    train, how = _keep_classes(order, len(train), cells["label"].to_numpy())
    return {"train": train, "validation": np.setdiff1d(rest, train), "test": test}, how


def _overlapping(
    cells: pd.DataFrame, pool: np.ndarray, test: np.ndarray, windows: pd.DataFrame
) -> np.ndarray:
    """Return which cells' stored windows share a pixel with a test cell's window, (pool,)."""
    missing = cells[~cells["id"].isin(windows["id"])]
    if len(missing):
        raise StoreError(
            f"{len(missing)} cells have no window, first {missing['id'].iloc[0]}. The windows were "
            "placed before the annotations changed; delete results/audits/ and rerun."
        )
    placed = windows.set_index("id").loc[cells["id"]]
    stored, seen = placed.iloc[pool], placed.iloc[test]
    pairs = sharing_pairs(
        pixel_boxes(stored, stored=True),
        pixel_boxes(seen, stored=False),
        places=(stored["place"], seen["place"]),
    )
    return np.isin(np.arange(len(pool)), pairs[:, 0])


def _slide_folds(cells: pd.DataFrame, card: Card, role: str, *, fold: int = 0) -> list[np.ndarray]:
    """Divide the slides into parts of about equal size and prevalence, of which one has the role.

    The card says how large a part is; `fold` is one that is asked for.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    count, slides = round(1 / card[role]), cells["slide"].nunique()
    if slides < count:
        rest = " that do not test" if role == "validation" else ""
        raise SplitError(
            f"{count} parts of slides, of which one is for {role}, need {count} slides; there are "
            f"{slides}{rest}. Bring more slides, or write a scheme card that `extends:` this one, "
            f"with a larger `{role}` than {card[role]} (docs/guides/add-a-study.md)."
        )
    if fold >= count:
        raise SplitError(f"A grouped split has {count} folds; `folds:` of the study asks for more.")
    parts = StratifiedGroupKFold(count, shuffle=True, random_state=card["seed"])
    return [test for _, test in parts.split(cells, cells["label"], cells["slide"])]


def _draw_slides(
    cells: pd.DataFrame, card: Card, fraction: str, fold: int, rng: np.random.Generator
) -> tuple[RowsByRole, str]:
    test = _slide_folds(cells, card, "test", fold=fold)[fold]
    pool = np.setdiff1d(np.arange(len(cells)), test)
    inner = _slide_folds(cells.iloc[pool], card, "validation")
    return _shuffle_pool(cells, (pool, pool[inner[fold % len(inner)]], test), fraction, rng)


def _draw_predefined(
    cells: pd.DataFrame, card: Card, fraction: str, fold: int, rng: np.random.Generator
) -> tuple[RowsByRole, str]:
    """Test the cells that the dataset's list does not name; part k of the list validates."""
    trains = (cells["listed"] != "").to_numpy()
    pool, test = np.flatnonzero(trains), np.flatnonzero(~trains)
    grouped = cells.iloc[pool].assign(slide=cells["listed"].iloc[pool])
    inner = _slide_folds(grouped, card, "validation", fold=fold)
    return _shuffle_pool(cells, (pool, pool[inner[fold]], test), fraction, rng)


def _shuffle_pool(
    cells: pd.DataFrame, parts: tuple[np.ndarray, ...], fraction: str, rng: np.random.Generator
) -> tuple[RowsByRole, str]:
    """Draw a fraction of the training and validation cells; `parts`: pool, validation, test."""
    pool, validation, test = parts
    training = rng.permutation(np.setdiff1d(pool, validation))
    validation = rng.permutation(validation)
    labels = cells["label"].to_numpy()
    train, how = _keep_classes(training, _floor_fraction(fraction, len(training)), labels)
    return {
        "train": train,
        "validation": validation[: _floor_fraction(fraction, len(validation))],
        "test": test,
    }, how


def _draw_one_domain(
    cells: pd.DataFrame, card: Card, scheme: str, fraction: str, rng: np.random.Generator
) -> tuple[RowsByRole, str]:
    """Draw from the cells of one domain, or of all others, and test on the rest too."""
    others_train = card["split_by"] == "cells_of_other_domains"
    domain = Scheme.parse(scheme).domain
    of_it = (cells["domain"] == domain).to_numpy()
    if not of_it.any():
        raise SplitError(f"Scheme {scheme!r}: no cell is of domain {domain!r}.")
    inside, others = np.flatnonzero(of_it), np.flatnonzero(~of_it)
    if others_train:
        inside, others = others, inside
    if not len(inside):
        raise SplitError(f"Scheme {scheme!r}: every cell is of domain {domain!r}.")
    drawn, how = _draw_cells(cells.iloc[inside], card, fraction, rng)
    parts = {role: inside[index] for role, index in drawn.items()}
    return parts | {"test": np.concatenate([parts["test"], others])}, how


def draw_split(
    cells: pd.DataFrame,
    card: Card,
    *,
    scheme: str,
    fraction: str,
    fold: int,
    windows: pd.DataFrame | None = None,
    size: int | None = None,
) -> Split:
    """Draw one fold of one scheme.

    Parameters
    ----------
    cells
        Columns id, slide, domain, label; source_row, the order in the annotation file, by which
        `random_independent` draws; listed, of `predefined.mark_listed`, for `predefined`.
    card
        The scheme's card: what is drawn, the fractions, the seed of fold 0.
    scheme
        Name of the scheme; `from_{domain}` trains on that domain, `except_{domain}` on all others.
    fraction
        Fraction of the training pool, as in the path. n_test = floor(test N);
        drawn = floor(fraction (N - n_test)); train = floor((1 - validation) drawn), the
        rest of drawn validates (Ganz et al. 2024, section 3; docs/decisions of this repository).
    fold
        Counts from 0; its seed is the card's seed plus fold.
    windows
        From `place_windows`, for draws that keep training apart from test (decision 018).
    size
        Number of training cells to keep, the first drawn (decision 019).

    Raises
    ------
    SplitError
        Too few cells or slides, an unknown domain, or a class that cannot be kept.
    StoreError
        Windows are needed, and a cell has none.
    """
    rng = np.random.default_rng(card["seed"] + fold)
    match card["split_by"]:
        case "cells_of_one_domain" | "cells_of_other_domains":
            parts, how = _draw_one_domain(cells, card, scheme, fraction, rng)
        case "slides":
            parts, how = _draw_slides(cells, card, fraction, fold, rng)
        case "predefined":
            parts, how = _draw_predefined(cells, card, fraction, fold, rng)
        case "cells_independently":
            parts, how = _draw_independently(cells, card, fraction, rng)
        case _:
            parts, how = _draw_cells(cells, card, fraction, rng, windows)
    if size is not None:
        parts["train"], how = _limit_training(parts["train"], size, cells["label"].to_numpy())
    roles = pd.concat(
        [pd.DataFrame({"id": cells["id"].to_numpy()[i], "role": role}) for role, i in parts.items()]
    )
    return Split(roles.sort_values("id", ignore_index=True), how)


def _limit_training(train: np.ndarray, size: int, labels: np.ndarray) -> tuple[np.ndarray, str]:
    if size > len(train):
        raise SplitError(f"{size} training cells are asked for, and this split has {len(train)}.")
    return _keep_classes(train, size, labels)


def drop_audited(cells: pd.DataFrame, audit: pd.DataFrame) -> pd.DataFrame:
    """Return the cells that the audit keeps for the splits, renumbered from row 0."""
    out = {*audit.loc[audit["left_out"], "id"], *audit.loc[audit["other_left_out"], "other"]}
    return cells[~cells["id"].isin(out)].reset_index(drop=True)


def indices_of(ids: np.ndarray, wanted: pd.Series) -> np.ndarray:
    """Return the index in `ids` of each wanted id.

    Raises
    ------
    SplitError
        An id of the split is not among them.
    """
    place = pd.Series(np.arange(len(ids)), index=ids)
    missing = wanted[~wanted.isin(place.index)]
    if len(missing):
        raise SplitError(
            f"The store has no row for {len(missing)} cells of the split, first {missing.iloc[0]}. "
            "It was made before the annotations changed; delete it and rerun."
        )
    return place[wanted.to_numpy()].to_numpy()
