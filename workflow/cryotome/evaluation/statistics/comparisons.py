"""Intervals of each row, and tests of each row against the reference row."""

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.multitest import multipletests

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
from cryotome.evaluation.statistics.paired_scores import Setting
from cryotome.evaluation.statistics.rows import SETTING, Rows, too_few_slides
from cryotome.study.facts import Statistics

INTERVALS = [*SETTING, "row", "auroc", "low", "high", "bootstrap_low", "bootstrap_high"]
INTERVALS += ["delong_patches_independent_low", "delong_patches_independent_high"]
INTERVALS += ["slides", "effective_slides", "within_slide", "note"]
COMPARED = [*SETTING, "row", "reference", "difference", "low", "high", "verdict", "note"]
VARIANCES = [*SETTING, "row", "seeds", "folds", "sd_folds", "sd_seed", "sd_draw", "error_slides"]


def intervals(settings: dict[Setting, Rows], alpha: float) -> pd.DataFrame:
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
    for setting, rows in settings.items():
        cells = np.unique(np.concatenate([part["id"].to_numpy() for part in rows.scores.parts]))
        known = (len(rows.slides), rows.scores.effective_slides)
        counts = (None, None) if rows.slides_unknown else known
        for row, slides in rows.influences.items():
            patches = rows.scores.influence(row, by="id", clusters=cells)
            clustered = auroc_interval(slides.auroc, slides.error, freedom=slides.freedom)
            resampled = quantiles(rows.bootstrap[row])
            delong = auroc_interval(slides.auroc, patches.error, freedom=np.inf)
            values = (slides.auroc, *clustered, *resampled, *delong, *counts)
            within = rows.scores.within_slide(row)
            lines.append((*setting, row, *values, within, rows.note(row, alpha)))
    return pd.DataFrame(lines, columns=INTERVALS)


def compare_row(rows: Rows, row: str, reference: str, levels: Statistics, fraction: str) -> Card:
    """Compare one row of a setting with the reference: difference is reference minus row."""
    gap, error = rows.gap(reference, row)
    few, how = too_few_slides(rows, levels.alpha), {"freedom": gap.freedom}
    low, high = difference_interval(gap.auroc, error, **how)
    obuchowski = difference_interval(gap.auroc, gap.error, **how)
    margin, can_test = levels.margin, not few
    verdict = equivalence(gap.auroc, error, margin=margin, alpha=levels.alpha, **how)
    by_folds = _compare_folds(rows, row, reference, levels.alpha, fraction)
    note = "; ".join(filter(None, [few, by_folds.pop("note")]))
    return {
        **{"difference": gap.auroc, "low": low, "high": high},
        **dict(zip(("obuchowski_low", "obuchowski_high"), obuchowski, strict=True)),
        "p_slides": t_test(gap.auroc, error, **how) if can_test else np.nan,
        "p_obuchowski": t_test(gap.auroc, gap.error, **how) if can_test else np.nan,
        **by_folds,
        **{"verdict": verdict if can_test else "undecided", "margin": margin, "note": note},
    }


def _compare_folds(rows: Rows, row: str, reference: str, alpha: float, fraction: str) -> Card:
    """Test the difference over folds, a statement about these slides only."""
    scores = rows.scores
    folds = scores.auroc_by_fold(reference) - scores.auroc_by_fold(row)
    same = scores.folds_test_same_cells
    ratio = scores.test_to_training_ratio(row, fraction)
    t, p = (np.nan, np.nan) if same else corrected_t(folds, ratio)
    least = smallest_possible_p(len(folds))
    signed = stats.wilcoxon(folds).pvalue if least < alpha and folds.any() else np.nan
    notes = [_too_few_folds(len(folds), least, alpha), _no_difference(same, folds)]
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


def _no_difference(same_cells: bool, folds: np.ndarray) -> str:
    if not folds.any():
        return "the two rows score alike"
    return "every fold tests the same cells: no test over folds" if same_cells else ""


def holm(p: pd.Series) -> pd.Series:
    """Return the p-values corrected for their number by Holm's method; NaN stays out."""
    known = p.dropna()
    if known.empty:
        return known.reindex(p.index)
    return pd.Series(multipletests(known, method="holm")[1], known.index).reindex(p.index)


def comparisons(settings: dict[Setting, Rows], reference: str, levels: Statistics) -> pd.DataFrame:
    """Compare every row with the reference row, in every setting that has it.

    Returns
    -------
    data frame with columns dataset, scheme, fraction, tested, row, reference, those of
    `compare_row`, and for each p-value its Holm-corrected one over the rows of the setting
    (`..._holm`). A test that cannot reach alpha has no p-value; `note` says so.
    """
    tables = []
    for setting, rows in settings.items():
        others = [row for row in rows.scores.rows if row != reference]
        if reference not in rows.scores.rows or not others:
            continue
        lines = [
            dict(zip(SETTING, setting, strict=True))
            | {"row": row, "reference": reference}
            | compare_row(rows, row, reference, levels, setting[2])
            for row in others
        ]
        table = pd.DataFrame(lines)
        for name in ("p_slides", "p_obuchowski", "p_folds_these_slides"):
            table[f"{name}_holm"] = holm(table[name])
        tables.append(table)
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=COMPARED)


def variances(settings: dict[Setting, Rows], families: dict[str, list[str]]) -> pd.DataFrame:
    """Split the spread of each row into training seed, draw of cells and slides.

    Parameters
    ----------
    families
        Row to the rows that differ from it in the training seed alone, itself included;
        empty where training has no seed (a unique optimum).

    Returns
    -------
    data frame with columns dataset, scheme, fraction, tested, row, seeds, folds, sd_folds
        (SD between folds, what a mean ± SD prints), sd_seed, sd_draw (its two parts),
        error_slides (standard error that other test slides would give, the models as trained)
    """
    lines = []
    for setting, rows in settings.items():
        for row in [row for row in families if row in rows.scores.rows]:
            names = [name for name in families[row] if name in rows.scores.rows] or [row]
            values = np.array([rows.scores.auroc_by_fold(name) for name in names]).T
            spread = values[:, 0].std(ddof=1) if len(values) > 1 else np.nan
            lines.append(
                dict(zip(SETTING, setting, strict=True))
                | {"row": row, "seeds": len(names), "folds": len(values), "sd_folds": spread}
                | variance_components(values, seeded=bool(families[row]))
                | {"error_slides": rows.influences[row].error}
            )
    return pd.DataFrame(lines, columns=VARIANCES)
