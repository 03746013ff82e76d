from dataclasses import replace

import pandas as pd

from cryotome.evaluation.variance_split import COLUMNS, COMPONENTS
from cryotome.report.page.scanners import scanners

KEY = {"dataset": "midog2022", "model": "gigapath", "head": "linear_probe"}
CARD = {name: {"title": name.upper(), "where": {"number": [1, 2]}} for name in ("cs2", "xr")}


def write(g) -> None:
    pairs = [(a, b) for a in ("scanner_cs2", "scanner_xr") for b in ("scanner_cs2", "scanner_xr")]
    lines = [
        KEY | {"row": "-", "train_domain": a, "test_domain": b, "mean": 0.9 - 0.2 * (a != b), "sd": 0.01, "folds": 5}
        for a, b in pairs
    ]  # fmt: skip
    pd.DataFrame(lines).to_csv(g.folder / "figure2_scanner.csv", index=False)
    row = f"{KEY['model']} + {KEY['head']}"
    split = {"dataset": "midog2022", "scheme": "random", "fraction": 1.0, "row": row}
    parts = [
        split | {"component": name, "sd": 0.03, "sd_low": 0.0, "sd_high": 0.2, "share": share, "levels": 4}
        for name, share in zip(COMPONENTS, (0.1, 0.6, 0.1, 0.1, 0.1), strict=True)
    ]  # fmt: skip
    pd.DataFrame(parts, columns=COLUMNS).to_csv(g.folder / "variance_split.csv", index=False)


def test_matrix_and_split_have_their_pictures_and_numbers(g):
    g = replace(g, facts=replace(g.facts, scanners={"midog2022": CARD}))
    write(g)
    section = scanners(g)
    matrix, split = section.pictures
    assert "0.90 on the own scanner, 0.70 on others" in matrix.said
    assert [cell.text for cell in matrix.behind.lines[1]][:3] == ["CS2", "XR", "0.700"]
    assert "The largest share: scanner of" in split.said
    assert split.said.endswith("60%.")
    assert len(section.grids[0].lines) == len(COMPONENTS)


def test_a_study_without_them_has_no_such_part(g):
    assert not scanners(g)
