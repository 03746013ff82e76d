"""What may be said of each row, and of each row against the reference: intervals and tests."""

import numpy as np
import pandas as pd
from scipy import stats

from cryotome.core.cards import Card
from cryotome.evaluation.statistics.clustered_auroc import auroc_interval, difference_interval
from cryotome.evaluation.statistics.fold_tests import (
    corrected_t,
    equivalence,
    quantiles,
    smallest_possible_p,
    t_test,
    variance_components,
)
from cryotome.evaluation.statistics.paired_scores import Keys
from cryotome.evaluation.statistics.rows import BLOCK, Rows, too_few_slides


def intervals(blocks: dict[Keys, Rows], alpha: float) -> pd.DataFrame:
    """Give every row its 95 % intervals; `alpha` is the level at which slides are too few.

    Returns
    -------
    data frame with columns dataset, scheme, fraction, tested, row, auroc, low, high (slides
    as the unit, Obuchowski 1997), bootstrap_low, bootstrap_high (slides resampled),
    delong_patches_independent_low, delong_patches_independent_high, slides,
    effective_slides (both empty where slides are not known: there the image is the unit, and
    `note` says so), within_slide (AUROC over pairs of one slide), note
    """
    lines = []
    for keys, rows in blocks.items():
        cells = np.unique(np.concatenate([part["id"].to_numpy() for part in rows.block.parts]))
        for row, slides in rows.influences.items():
            patches = rows.block.influence(row, by="id", clusters=cells)
            clustered = auroc_interval(slides.auroc, slides.error, freedom=slides.freedom)
            sampled = quantiles(rows.draws[row])
            delong = auroc_interval(slides.auroc, patches.error, freedom=np.inf)
            known = (len(rows.slides), rows.block.effective_slides)
            counts = (None, None) if rows.unknown else known
            within = rows.block.within(row)
            note = rows.note(row, alpha)
            lines.append(
                (*keys, row, slides.auroc, *clustered, *sampled, *delong, *counts, within, note)
            )
    columns = [*BLOCK, "row", "auroc", "low", "high", "bootstrap_low", "bootstrap_high"]
    columns += ["delong_patches_independent_low", "delong_patches_independent_high"]
    return pd.DataFrame(
        lines, columns=[*columns, "slides", "effective_slides", "within_slide", "note"]
    )


def compare_row(rows: Rows, row: str, reference: str, about: Card, fraction: str) -> Card:
    """Compare one row of a block with the reference: difference is reference minus row."""
    gap = rows.influences[reference].minus(rows.influences[row])
    error = float(np.nanstd(rows.draws[reference] - rows.draws[row]))
    few, how = too_few_slides(rows, about["alpha"]), {"freedom": gap.freedom}
    low, high = difference_interval(gap.auroc, error, **how)
    sums = difference_interval(gap.auroc, gap.error, **how)
    margin, can = about["margin"], not few
    verdict = equivalence(gap.auroc, error, margin=margin, alpha=about["alpha"], **how)
    by_folds = _compare_folds(rows, row, reference, about["alpha"], fraction)
    note = "; ".join(filter(None, [few, by_folds.pop("note")]))
    spans = {"low": low, "high": high, "obuchowski_low": sums[0], "obuchowski_high": sums[1]}
    by_slides = {
        "p_slides": t_test(gap.auroc, error, **how) if can else np.nan,
        "p_obuchowski": t_test(gap.auroc, gap.error, **how) if can else np.nan,
    }
    said = {"verdict": verdict if can else "undecided", "margin": margin, "note": note}
    return {"difference": gap.auroc} | spans | by_slides | by_folds | said


def _compare_folds(rows: Rows, row: str, reference: str, alpha: float, fraction: str) -> Card:
    """Test the difference over folds, which speaks of these slides only."""
    folds = rows.block.by_fold(reference) - rows.block.by_fold(row)
    same = rows.block.tests_the_same
    ratio = rows.block.ratio(row, fraction)
    t, p = (np.nan, np.nan) if same else corrected_t(folds, ratio)
    least = smallest_possible_p(len(folds))
    signed = stats.wilcoxon(folds).pvalue if least < alpha and folds.any() else np.nan
    notes = [_too_few_folds(len(folds), least, alpha), _same(same, folds)]
    return {
        "folds": len(folds),
        "t_folds": t,
        "p_folds_these_slides": p,
        "p_signed_rank_folds": signed,
        "note": "; ".join(filter(None, notes)),
    }


def _too_few_folds(folds: int, least: float, alpha: float) -> str:
    if least < alpha:
        return ""
    return f"{folds} folds: a signed-rank test cannot reach {alpha} (least p {least:.3g})"


def _same(same_cells: bool, folds: np.ndarray) -> str:
    if not folds.any():
        return "the two rows score alike"
    return "every fold tests the same cells: no test over folds" if same_cells else ""


def holm(p: pd.Series) -> pd.Series:
    """Return p-values corrected for their number by Holm's method; NaN counts for nothing."""
    known = p.dropna().sort_values()
    corrected = (known * np.arange(len(known), 0, -1)).cummax().clip(upper=1)
    return corrected.reindex(p.index)


def comparisons(blocks: dict[Keys, Rows], reference: str, about: Card) -> pd.DataFrame:
    """Compare every row with the reference row, in every block that has it.

    Parameters
    ----------
    about
        `alpha`; `margin`, AUROC, within which two rows count as equivalent.

    Returns
    -------
    data frame with columns dataset, scheme, fraction, tested, row, reference, what
        `compare_row` gives, and for each p its Holm-corrected p over the rows of the block
        (`..._holm`). A test that cannot reach alpha has no p; `note` says so.
    """
    tables = []
    for keys, rows in blocks.items():
        others = [row for row in rows.block.rows if row != reference]
        if reference not in rows.block.rows or not others:
            continue
        lines = [
            dict(zip(BLOCK, keys, strict=True))
            | {"row": row, "reference": reference}
            | compare_row(rows, row, reference, about, keys[2])
            for row in others
        ]
        table = pd.DataFrame(lines)
        for name in ("p_slides", "p_obuchowski", "p_folds_these_slides"):
            table[f"{name}_holm"] = holm(table[name])
        tables.append(table)
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=COMPARED)


COMPARED = [*BLOCK, "row", "reference", "difference", "low", "high", "verdict", "note"]


def variances(blocks: dict[Keys, Rows], families: dict[str, list[str]]) -> pd.DataFrame:
    """Say where the spread of each row comes from: training seed, draw of cells, slides.

    Parameters
    ----------
    families
        Row to the rows that differ from it in the training seed alone, itself included;
        empty where training knows no chance (a unique optimum).

    Returns
    -------
    data frame with columns dataset, scheme, fraction, tested, row, seeds, folds, sd_folds
        (SD between folds, what a mean ± SD prints), sd_seed, sd_draw (its two parts),
        error_slides (standard error that other test slides would give, the models as trained)
    """
    lines = []
    for keys, rows in blocks.items():
        for row, family in families.items():
            if row not in rows.block.rows:
                continue
            names = [name for name in family if name in rows.block.rows] or [row]
            values = np.array([rows.block.by_fold(name) for name in names]).T
            parts = variance_components(values, chance=bool(family))
            spread = values[:, 0].std(ddof=1) if len(values) > 1 else np.nan
            lines.append(
                dict(zip(BLOCK, keys, strict=True))
                | {"row": row, "seeds": len(names), "folds": len(values), "sd_folds": spread}
                | parts
                | {"error_slides": rows.influences[row].error}
            )
    columns = [*BLOCK, "row", "seeds", "folds", "sd_folds", "sd_seed", "sd_draw", "error_slides"]
    return pd.DataFrame(lines, columns=columns)
