"""What may be said of each row, and of each row against the reference: intervals and tests."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from cryotome.core.cards import Card
from cryotome.core.tables import read_csv
from cryotome.data.cells import load_cells
from cryotome.evaluation.statistics.clustered_auroc import (
    corrected_t,
    crossing,
    equivalence,
    fit_curve,
    gap_interval,
    interval,
    least_p,
    quantiles,
    t_test,
    variance_parts,
)
from cryotome.evaluation.statistics.paired_scores import Block, Keys, gather_blocks
from cryotome.study.statistical_unit import UNKNOWN

BLOCK = ["dataset", "scheme", "fraction", "tested"]
COVERED = 0.92  # a 95 % interval that covers less is named in the table
NEARLY = 1.25  # effective slides scatter from draw to draw
CLUSTERED = "covered by the clustered interval"
EDGE = 0.999  # AUROC from which a fitted limit is the edge of the law
FITS = 200  # bootstrap draws to which a learning curve is fitted


class Rows:
    """The rows of one block and what their comparison needs, each computed once."""

    def __init__(
        self, block: Block, *, draws: int, calibration: pd.DataFrame, unknown: bool = False
    ) -> None:
        self.block, self.count, self._calibration = block, draws, calibration
        self.slides, self.unknown = block.slides, unknown  # images, where slides are not known

    @property
    def named(self) -> str:
        """What the intervals take as their unit, and how many there are."""
        return f"{len(self.slides):,} {UNKNOWN if self.unknown else 'slides'}"

    @property
    def coverage_note(self) -> str:
        """Say where 95 % intervals are known to cover less than 92 %, else nothing."""
        if self.unknown:  # it was simulated for slides
            return ""
        known = self._calibration
        known = known[known["what"] == CLUSTERED]
        folds = "grouped" if self.block.grouped else "random"
        parted = len(self.block.parts) > len(set(self.block.folds))  # a fold by its domains
        alike = (known["folds"] == folds) & ((known["tested"] == "domains") == parted)
        mine = self.block.effective_slides
        few = known["effective_slides"] * NEARLY >= mine
        low = known[alike & few & (known["share"] < COVERED)]
        if low.empty:
            return ""
        worst = low.sort_values("share").iloc[0]
        return (
            f"{mine:.1f} effective slides: with about {worst['effective_slides']:.0f} "
            f"(simulated, {worst['folds']} folds, slides of {worst['dataset']}) 95 % intervals "
            f"cover {100 * worst['share']:.0f} %"
        )

    def note(self, row: str, alpha: float) -> str:
        """Return what must be known of a row's interval."""
        slides = self.influences[row]
        what = "image" if self.unknown else "slide"
        one = f"a part has one {what} of a label: no interval" if slides.single else ""
        few = few_slides(self, alpha) or self.coverage_note
        unit = f"{self.named}: too narrow where images share a slide" if self.unknown else ""
        return "; ".join(filter(None, [unit, self.block.constant(row), one, few]))

    @cached_property
    def influences(self) -> dict:
        """Row to the influence of each slide."""
        return {r: self.block.influence(r, clusters=self.slides) for r in self.block.rows}

    @cached_property
    def draws(self) -> dict[str, np.ndarray]:
        """Row to its AUROC in each draw of slides."""
        slides, draws = self.slides, self.count
        return {row: self.block.draws(row, slides=slides, draws=draws) for row in self.block.rows}


def load_blocks(
    cells: list[Path], predictions: list[Path], calibration: Path, about: Card
) -> dict[Keys, Rows]:
    """Gather the predictions of a study and prepare them for comparison.

    Parameters
    ----------
    cells
        Tables of cells, each named as its dataset.
    calibration, about
        The file, and the study's facts, that `read_blocks` takes its own from.
    """
    of_cells = {path.stem: load_cells(path).set_index("id") for path in cells}
    gathered = gather_blocks(predictions, of_cells)
    unknown = about.get("unknown_slides", [])
    return read_blocks(gathered, about["statistics"], read_csv(calibration), unknown)


def read_blocks(
    blocks: dict[Keys, Block], about: Card, calibration: pd.DataFrame, unknown: Sequence[str] = ()
) -> dict[Keys, Rows]:
    """Prepare the blocks of a study.

    Parameters
    ----------
    about
        The study's `statistics`.
    calibration
        How often our intervals covered in simulated studies, from config/calibration.csv.
    unknown
        Datasets whose slides are not known.
    """
    how = {"draws": about["draws"], "calibration": calibration}
    return {keys: Rows(block, **how, unknown=keys[0] in unknown) for keys, block in blocks.items()}


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
            clustered = interval(slides.auroc, slides.error, freedom=slides.freedom)
            sampled = quantiles(rows.draws[row])
            delong = interval(slides.auroc, patches.error, freedom=np.inf)
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


def few_slides(rows: Rows, alpha: float) -> str:
    """Say where a block has too few slides for any statement about slides, else nothing."""
    least = least_p(len(rows.slides))
    if least < alpha:
        return ""
    return f"{rows.named}: no test can reach {alpha} (least p {least:.3g})"


def compare_row(rows: Rows, row: str, reference: str, about: Card, fraction: str) -> Card:
    """Compare one row of a block with the reference: difference is reference minus row."""
    gap = rows.influences[reference].minus(rows.influences[row])
    error = float(np.nanstd(rows.draws[reference] - rows.draws[row]))
    few, how = few_slides(rows, about["alpha"]), {"freedom": gap.freedom}
    low, high = gap_interval(gap.auroc, error, **how)
    sums = gap_interval(gap.auroc, gap.error, **how)
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
    least = least_p(len(folds))
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
            parts = variance_parts(values, chance=bool(family))
            spread = values[:, 0].std(ddof=1) if len(values) > 1 else np.nan
            lines.append(
                dict(zip(BLOCK, keys, strict=True))
                | {"row": row, "seeds": len(names), "folds": len(values), "sd_folds": spread}
                | parts
                | {"error_slides": rows.influences[row].error}
            )
    columns = [*BLOCK, "row", "seeds", "folds", "sd_folds", "sd_seed", "sd_draw", "error_slides"]
    return pd.DataFrame(lines, columns=columns)


def _curves(blocks: dict[Keys, Rows]) -> dict[tuple, list[tuple[float, Rows]]]:
    """Sort the blocks of pooled schemes into curves over fractions."""
    curves: dict[tuple, list] = {}
    for (dataset, scheme, fraction, tested), rows in blocks.items():
        if tested == "all":
            curves.setdefault((dataset, scheme), []).append((float(fraction), rows))
    return {k: sorted(v, key=lambda pair: pair[0]) for k, v in curves.items() if len(v) > 1}


def learning_curves(blocks: dict[Keys, Rows]) -> pd.DataFrame:
    """Fit AUROC = limit - drop n^-power to every row's learning curve, with its interval.

    Returns
    -------
    data frame with columns dataset, scheme, row, limit, low, high (limit of endless data; 95 %
    by resampling slides; empty where all of it is AUROC 1, the edge of the law), power,
    doubled (what twice the full training set would add), note
    """
    lines = []
    for (dataset, scheme), curve in _curves(blocks).items():
        for row in curve[0][1].block.rows:
            cells = np.array([rows.block.trained[row] for _, rows in curve])
            values = np.array([rows.influences[row].auroc for _, rows in curve])
            fit = fit_curve(cells, values)
            line = {"dataset": dataset, "scheme": scheme, "row": row}
            if fit is None:
                why = "; more cells do not make it better" if len(curve) > 3 else ""
                lines.append(line | {"note": f"{len(curve)} fractions: no law is fitted{why}"})
                continue
            draws = np.array([rows.draws[row][:FITS] for _, rows in curve]).T
            limits = [found[0] for found in (fit_curve(cells, draw) for draw in draws) if found]
            low, high = quantiles(np.array(limits)) if limits else (np.nan, np.nan)
            limit, drop, power = fit
            gain = drop * (cells[-1] ** -power - (2 * cells[-1]) ** -power)
            note = "at the edge of the law: AUROC 1 is not excluded" if high > EDGE else ""
            if low > EDGE:  # a bound of the fit, not a finding
                limit, low, high = (np.nan,) * 3
            found = {"limit": limit, "low": low, "high": high, "power": power, "doubled": gain}
            lines.append(line | found | {"note": note})
    columns = ["dataset", "scheme", "row", "limit", "low", "high", "power", "doubled", "note"]
    return pd.DataFrame(lines, columns=columns)


def _equal(
    curve: list[tuple[float, Rows]], row: str, rows: Rows, reference: str
) -> tuple[float, float, float]:
    """Return the fraction at which the reference reaches a row of a block, and its interval."""
    fractions = np.array([fraction for fraction, _ in curve])
    middle = np.array([one.influences[reference].auroc for _, one in curve])
    draws = np.array([one.draws[reference] for _, one in curve]).T
    pairs = zip(draws, rows.draws[row], strict=True)
    found = [crossing(fractions, one, own) for one, own in pairs]
    low, high = np.quantile(found, [0.025, 0.975], method="inverted_cdf")
    return crossing(fractions, middle, rows.influences[row].auroc), low, high


def crossings(blocks: dict[Keys, Rows], reference: str) -> pd.DataFrame:
    """Say at which fraction the reference reaches what a row reaches at each fraction.

    Returns
    -------
    data frame with columns dataset, scheme, row, fraction, auroc, reference, equal_fraction,
    low, high (95 % by resampling slides), text
        equal_fraction is 0 where the reference's smallest fraction is enough already, and
        infinite where its largest is not.
    """
    lines = []
    for (dataset, scheme), curve in _curves(blocks).items():
        fractions = [fraction for fraction, _ in curve]
        for fraction, rows in curve:
            others = [row for row in rows.block.rows if row != reference]
            for row in others if reference in rows.block.rows else []:
                equal, low, high = _equal(curve, row, rows, reference)
                text = _crossing_text(row, fraction, reference, equal, fractions)
                place = (dataset, scheme, row, fraction, rows.influences[row].auroc)
                lines.append((*place, reference, equal, low, high, text))
    columns = ["dataset", "scheme", "row", "fraction", "auroc", "reference", "equal_fraction"]
    return pd.DataFrame(lines, columns=[*columns, "low", "high", "text"])


def _crossing_text(
    row: str, fraction: float, reference: str, equal: float, fractions: list[float]
) -> str:
    if equal == 0:
        there = f"less than {reference} at {100 * fractions[0]:g} %"
    elif np.isinf(equal):
        there = f"more than {reference} at {100 * fractions[-1]:g} %"
    else:
        there = f"{reference} at {100 * equal:.2g} %"
    return f"{row} at {100 * fraction:g} % equals {there}"
