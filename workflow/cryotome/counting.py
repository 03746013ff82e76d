"""Mitotic counts per region after classification against those annotated (Bland-Altman)."""

import numpy as np
import pandas as pd
from scipy import stats

REACH = 1.96  # SDs from the bias to the limits of agreement
REGION = ["domain", "where", "image"]
AGREEMENT = ["rois", "bias", "bias_low", "bias_high", "sd", "lower", "lower_low", "lower_high"]
AGREEMENT += ["upper", "upper_low", "upper_high", "unit"]
PER_MM2, PER_REGION = "per mm2", "per region"


def count_regions(tested: pd.DataFrame, threshold: float) -> pd.DataFrame:
    """Count the cells that are positive, and those called so, in each region.

    Parameters
    ----------
    tested
        All cells of some regions: columns region, domain, where, label, score, mm2.
    threshold
        The score from which on a cell is called positive.

    Returns
    -------
    data frame with columns domain, where, image, area_mm2, annotated, counted, cells, threshold
    """
    called = tested.assign(called=tested["score"] >= threshold)
    groups = called.groupby(["domain", "where", "region"], observed=True)
    table = pd.DataFrame(
        {
            "area_mm2": groups["mm2"].sum(min_count=1).round(9),  # it was parted among the cells
            "annotated": groups["label"].sum(),
            "counted": groups["called"].sum(),
            "cells": groups["label"].size(),
        }
    ).reset_index()
    return table.rename(columns={"region": "image"}).assign(threshold=threshold)


def once_each(counts: pd.DataFrame) -> pd.DataFrame:
    """Average the counts of a region over the folds that test it, so that it counts once.

    Returns
    -------
    data frame with columns domain, where, image, annotated, counted, unit
        Per mm² where the area of every region is known, else per region.
    """
    numbers = ["area_mm2", "annotated", "counted"]
    table = counts.groupby(REGION, observed=True)[numbers].mean().reset_index()
    known = table["area_mm2"].notna().all()
    area = table["area_mm2"] if known else 1.0
    table[["annotated", "counted"]] = table[["annotated", "counted"]].div(area, axis=0)
    return table.drop(columns="area_mm2").assign(unit=PER_MM2 if known else PER_REGION)


def bland_altman(gaps: np.ndarray) -> dict[str, float]:
    """Return bias and 95 % limits of agreement, with their confidence intervals.

    Bland and Altman 1999, section 3: the bias has the standard error s / √n, a limit
    s √(1/n + 1.96² / (2 (n - 1))); both intervals take Student's t with n - 1.

    Parameters
    ----------
    gaps : (n,) counted less annotated, one of each region

    Returns
    -------
    rois, bias, sd (n - 1), lower, upper (bias ± 1.96 SD), each of the three with `_low` and
    `_high`; NaN where one region cannot tell
    """
    count, bias = len(gaps), float(gaps.mean())
    sd = float(gaps.std(ddof=1)) if count > 1 else float("nan")
    reach = float(stats.t.ppf(0.975, count - 1)) * sd if count > 1 else float("nan")
    of_bias = reach / np.sqrt(count)
    of_limit = reach * np.sqrt(1 / count + REACH**2 / (2 * (count - 1))) if count > 1 else reach
    found: dict[str, float] = {"rois": count, "sd": sd}
    ends = {"bias": bias, "lower": bias - REACH * sd, "upper": bias + REACH * sd}
    for name, value in ends.items():
        half = float(of_bias if name == "bias" else of_limit)
        found |= {name: value, f"{name}_low": value - half, f"{name}_high": value + half}
    return found


def agreement(counts: pd.DataFrame) -> pd.DataFrame:
    """Give bias and limits of agreement of one row, per domain and of all domains together.

    Parameters
    ----------
    counts
        From `count_regions`, of several folds; regions are named once in a dataset.

    Returns
    -------
    data frame with columns domain, where, rois, bias, bias_low, bias_high, sd, lower,
    lower_low, lower_high, upper, upper_low, upper_high, unit
    """
    table, lines = once_each(counts), []
    for where, there in table.groupby("where"):
        parts = [*there.groupby("domain", observed=True)]
        parts += [("all", there)] if len(parts) > 1 else []
        for domain, part in parts:
            found = bland_altman((part["counted"] - part["annotated"]).to_numpy())
            place = {"domain": str(domain), "where": where}
            lines.append(place | found | {"unit": part["unit"].iloc[0]})
    return pd.DataFrame(lines, columns=["domain", "where", *AGREEMENT])
