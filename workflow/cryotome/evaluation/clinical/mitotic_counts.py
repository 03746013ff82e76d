"""Mitotic counts per region: predicted against annotated, with limits of agreement."""

import numpy as np
import pandas as pd
from scipy.special import stdtrit

LIMIT_SDS = 1.96  # SD from the bias to each limit of agreement
REGION = ["domain", "where", "image"]
AGREEMENT = ["rois", "bias", "bias_low", "bias_high", "sd", "lower", "lower_low", "lower_high"]
AGREEMENT += ["upper", "upper_low", "upper_high", "unit"]
ENDS = ("_low", "_high")
PER_MM2, PER_REGION = "per mm2", "per region"


def count_regions(tested: pd.DataFrame, threshold: float) -> pd.DataFrame:
    """Count the annotated and the predicted positive cells in each region.

    Parameters
    ----------
    tested
        All cells of some regions: columns region, domain, where, label, score, mm2.
    threshold
        The lowest score that is called positive.

    Returns
    -------
    data frame with columns domain, where, image, area_mm2, annotated, counted, cells, threshold
    """
    called = tested.assign(called=tested["score"] >= threshold)
    groups = called.groupby(["domain", "where", "region"], observed=True)
    table = pd.DataFrame(
        {
            "area_mm2": groups["mm2"].sum(min_count=1).round(9),  # the sum of its cells' shares
            "annotated": groups["label"].sum(),
            "counted": groups["called"].sum(),
            "cells": groups["label"].size(),
        }
    ).reset_index()
    return table.rename(columns={"region": "image"}).assign(threshold=threshold)


def deduplicate_tests(counts: pd.DataFrame) -> pd.DataFrame:
    """Average the counts of a region over the models that count it: one line per region.

    Returns
    -------
    data frame with columns domain, where, image, annotated, counted, inside (variance of the
    models' counts of the region, n - 1; NaN of one), readings (models), unit
        Per mm² where the area of every region is known, else per region.
    """
    known = bool(counts["area_mm2"].notna().all())
    area = counts["area_mm2"] if known else 1.0
    numbers = counts[["annotated", "counted"]].div(area, axis=0)
    regions = counts[REGION].assign(**numbers).groupby(REGION, observed=True)
    table = regions.agg(
        annotated=("annotated", "mean"), counted=("counted", "mean"),
        inside=("counted", "var"), readings=("counted", "size"),
    )  # fmt: skip
    return table.reset_index().assign(unit=PER_MM2 if known else PER_REGION)


def bland_altman(
    differences: np.ndarray, inside: np.ndarray | None = None, readings: np.ndarray | None = None
) -> dict[str, float]:
    """Return bias and 95 % limits of agreement of one count, with their confidence intervals.

    Bland and Altman 1999, section 5: where several models count a region, the variance of one
    count is that of the regions' means plus (1 - mean(1/m)) times that inside regions; the
    mean of m counts alone would vary less than one count does. The bias has the standard error
    s / √n of the means; a limit adds 1.96 times that of the SD (delta method, normal
    variances), which for one count a region is s √(1/n + 1.96² / (2 (n - 1))) of section 3. All
    intervals take Student's t with n - 1.

    Parameters
    ----------
    differences : (n,) counted minus annotated, the mean of each region
    inside : (n,) variance of the counts of a region (m - 1); NaN with one count
    readings : (n,) counts of a region, m

    Returns
    -------
    rois, bias, sd (of one count), lower, upper (bias ± 1.96 SD), each of the three with `_low`
    and `_high`; NaN with one region
    """
    count, bias = len(differences), float(differences.mean())
    if count < 2:
        ends = [f"{name}{end}" for name in ("bias", "lower", "upper") for end in ("", *ENDS)]
        return dict.fromkeys(["sd", *ends], float("nan")) | {"rois": count, "bias": bias}
    between, extra, error_of_extra = float(differences.var(ddof=1)), 0.0, 0.0
    if inside is not None and readings is not None and readings.max() > 1:
        extra, error_of_extra = _within_regions(inside, readings)
    sd = float(np.sqrt(between + extra))
    of_variance = 2 * between**2 / (count - 1) + error_of_extra
    of_sd = float(np.sqrt(of_variance)) / (2 * sd) if sd else 0.0
    t, of_bias = float(stdtrit(count - 1, 0.975)), float(np.sqrt(between / count))
    found: dict[str, float] = {"rois": count, "sd": sd}
    values = {"bias": bias, "lower": bias - LIMIT_SDS * sd, "upper": bias + LIMIT_SDS * sd}
    for name, value in values.items():
        half = t * float(np.hypot(of_bias, 0 if name == "bias" else LIMIT_SDS * of_sd))
        found |= {name: value, f"{name}_low": value - half, f"{name}_high": value + half}
    return found


def _within_regions(inside: np.ndarray, readings: np.ndarray) -> tuple[float, float]:
    """Return (1 - mean(1/m)) times the variance of counts inside regions, and its variance."""
    free, factor = int((readings - 1).sum()), 1 - float((1 / readings).mean())
    variance = float(np.nansum((readings - 1) * inside)) / free
    return factor * variance, 2 * (factor * variance) ** 2 / free


def limits_of_agreement(counts: pd.DataFrame) -> pd.DataFrame:
    """Return bias and limits of agreement of one row, per domain and over all domains.

    Parameters
    ----------
    counts
        From `count_regions`, of several folds; names of regions are unique in a dataset.

    Returns
    -------
    data frame with columns domain, where, rois, bias, bias_low, bias_high, sd, lower,
    lower_low, lower_high, upper, upper_low, upper_high, unit
    """
    table, lines = deduplicate_tests(counts), []
    for where, there in table.groupby("where"):
        parts = [*there.groupby("domain", observed=True)]
        parts += [("all", there)] if len(parts) > 1 else []
        for domain, part in parts:
            differences = (part["counted"] - part["annotated"]).to_numpy()
            found = bland_altman(differences, *part[["inside", "readings"]].to_numpy().T)
            place = {"domain": str(domain), "where": where}
            lines.append(place | found | {"unit": part["unit"].iloc[0]})
    return pd.DataFrame(lines, columns=["domain", "where", *AGREEMENT])
