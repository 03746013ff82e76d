import numpy as np
import pandas as pd
import pytest
from tests.evaluation.statistics.test_comparisons import NONE

from cryotome.evaluation.leakage_ladder import (
    LEAKS,
    RUNGS,
    measure_ladder,
    read_leaks,
)
from cryotome.evaluation.statistics.paired_scores import PairedScores
from cryotome.evaluation.statistics.rows import prepare_rows

TITLES = dict(zip(RUNGS, ["random", "apart", "slides", "domains"], strict=True))
NO_LEAKS = pd.DataFrame(columns=["dataset", "rung", *LEAKS])


def rung(separation: float, seed: int) -> PairedScores:
    rng = np.random.default_rng(seed)
    paired = PairedScores()
    for fold in range(2):
        slide, label = np.repeat(np.arange(30), 30), rng.integers(2, size=900)
        part = pd.DataFrame({"id": np.arange(900), "slide": slide.astype(str), "label": label})
        part["row"] = separation * label + rng.normal(size=900)
        paired.parts.append(part)
        paired.folds.append(fold)
    paired.training_cells = {"row": 500}
    paired.schemes = {"random"}
    return paired


def made(**tested) -> pd.DataFrame:
    separations = dict(zip(RUNGS, [2.0, 2.0, 1.0, 0.5], strict=True))
    settings = {
        ("d", name, "1.0", tested.get(name.split("_")[0], "domains")): rung(value, seed)
        for seed, (name, value) in enumerate(separations.items())
    }
    return measure_ladder(prepare_rows(settings, 200, NONE), NO_LEAKS, TITLES)


def test_a_rung_costs_what_the_first_has_more():
    table = made().set_index("rung")
    assert list(table.index) == RUNGS
    first = table["auroc"].iloc[0]
    assert table["cost"].to_numpy() == pytest.approx(first - table["auroc"])
    assert table.loc[RUNGS[0], "cost"] == 0
    steps = -np.diff(table["auroc"])
    assert table["step"].to_numpy()[1:] == pytest.approx(steps)
    assert table.loc[RUNGS[1], "cost_low"] < 0 < table.loc[RUNGS[1], "cost_high"]
    assert table.loc[RUNGS[2], "cost_low"] > 0.1
    assert table.loc[RUNGS[2], "cost_p"] < 1e-6


def test_one_domain_is_taken_whole():
    assert made(random="all", no="all", slide="all")["auroc"].notna().all()


def test_leaks_are_averaged_over_the_splits_of_a_rung(tmp_path):
    paths = []
    for scheme, share in (("except_a_matched", 0.2), ("except_b_matched", 0.4)):
        path = tmp_path / f"splits/d/{scheme}/fraction=1.0/fold=0.leakage.csv"
        path.parent.mkdir(parents=True)
        table = pd.DataFrame({"measure": ["on_training_slide"], "cells": [1], "share": [share]})
        table.to_csv(path, index=False)
        paths.append(path)
    leaks = read_leaks(paths)
    assert leaks["rung"].tolist() == ["except_*_matched"]
    assert leaks["on_training_slide"].tolist() == [pytest.approx(0.3)]
