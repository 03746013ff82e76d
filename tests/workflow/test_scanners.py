"""Scanners that cross the domains, on the demo's regions: their matrix, and the split of AUROC."""

from pathlib import Path

import pandas as pd
import pytest
import yaml
from accidents import checkout
from small_study import SMALL, snakemake

pytestmark = pytest.mark.study

CARD = {
    "extends": "demo_rois",
    "title": "Demo regions, scanners crossed",
    "scanners": {
        "odd": {"title": "odd", "where": [{"number": [n, n + 1]} for n in (1, 5, 9)]},
        "even": {"title": "even", "where": [{"number": [n, n + 1]} for n in (3, 7, 11)]},
    },
}
STUDY = SMALL | {
    "study": "scan", "datasets": ["crossed"], "fractions": [1.0], "variance_split": True,
    "schemes": ["random", "from_scanner_*"], "rows": SMALL["rows"][1:],
}  # fmt: skip
HOME = Path("results/studies/scan")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The products of a study by scanner."""
    folder = checkout(tmp_path_factory.mktemp("scan"))
    (folder / "config/datasets/crossed.yaml").write_text(yaml.dump(CARD), encoding="utf-8")
    (folder / "scan.yaml").write_text(yaml.dump(STUDY), encoding="utf-8")
    wanted = [str(HOME / f"{stem}.csv") for stem in ("figure2_scanner", "variance_split")]
    snakemake(folder, "--cores", "2", "--configfile", "scan.yaml", "--", *wanted)
    return folder / HOME


def test_each_scanner_is_tested_by_each(home):
    table = pd.read_csv(home / "figure2_scanner.csv")
    pairs = table[["train_domain", "test_domain"]].apply(tuple, axis=1)
    names = ("scanner_even", "scanner_odd")
    assert set(pairs) == {(a, b) for a in names for b in names}
    assert (table["folds"] == 2).all() and table["mean"].between(0, 1).all()
    assert (home / "figure2_scanner.png").stat().st_size > 1000


def test_the_spread_of_every_row_is_split(home):
    table = pd.read_csv(home / "variance_split.csv")
    assert set(table["component"]) == {"slide", "scanner", "domain", "fold", "rest"}
    assert table["row"].nunique() == 2 and table["synthetic"].all()
    levels = table.groupby("component")["levels"].first()
    assert (levels["scanner"], levels["fold"]) == (2, 2)
    assert table.groupby("row")["share"].sum().tolist() == pytest.approx([1, 1])
    assert (home / "variance_split.png").stat().st_size > 1000
