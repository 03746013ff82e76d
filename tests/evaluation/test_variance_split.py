import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cryotome.core.files import sha256
from cryotome.evaluation.variance_split import COMPONENTS, grouped_cells, split_rows
from cryotome.study.scanners import why_not_parted

SLIDES, OF_SLIDE = 8, 24  # slides of a scanner and domain, cells of each
PAIRS = [(scanner, domain) for scanner in "abc" for domain in "xyz"]
CARD = {
    "scanners": {
        name: {"title": name, "where": {"number": [100 * place, 100 * place + 99]}}
        for place, name in enumerate("abc")
    }
}
# how well a model works on each scanner: the distance of the classes, SDs
PLANTED = {"a": 2.4, "b": 1.6, "c": 0.8}


@pytest.fixture
def cells() -> pd.DataFrame:
    """A table of cells of three scanners and three domains, each scanner with each domain."""
    lines = []
    for number, (scanner, domain) in enumerate(PAIRS):
        for slide in range(SLIDES):
            image = f"{100 * 'abc'.index(scanner) + SLIDES * (number % 3) + slide:03d}.tiff"
            lines += [(image, image, domain)] * OF_SLIDE
    table = pd.DataFrame(lines, columns=["image", "slide", "domain"])
    return table.assign(id=range(len(table)), x=0.0, y=0.0, label=np.arange(len(table)) % 2)


def predict(folder: Path, cells: pd.DataFrame, signal: pd.Series) -> list[Path]:
    """Write the scores of three random folds."""
    rng, paths = np.random.default_rng(1), []
    fold_of = rng.permutation(len(cells)) % 3
    score = signal * cells["label"] + rng.normal(size=len(cells))
    for fold in range(3):
        path = folder / f"predictions/d/random/view=v/model=m/head=p/fraction=1.0/fold={fold}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        mine = fold_of == fold
        table = pd.DataFrame({"id": cells["id"], "role": "test", "label": cells["label"]})
        table.assign(score=score.round(4))[mine].to_csv(path, index=False)
        about = {"n_train": 9, "csv_sha256": sha256(path), "split_sha256": "not at hand"}
        path.with_suffix(".json").write_text(json.dumps(about), encoding="utf-8")
        paths.append(path)
    return paths


def test_a_planted_scanner_has_the_largest_share(cells, tmp_path):
    groups = grouped_cells(cells, CARD)
    paths = predict(tmp_path, cells, groups["scanner"].map(PLANTED).reset_index(drop=True))
    table = split_rows(paths, {"d": groups}, {"d": CARD}, draws=100)
    assert list(table["component"]) == COMPONENTS
    found = table.set_index("component")
    assert found["share"].idxmax() == "scanner"
    assert found["share"].sum() == pytest.approx(1)
    assert found.loc["scanner", "low"] > 0
    assert found.loc["domain", "low"] == found.loc["fold", "low"] == 0
    assert set(found["parts"]) == {len(PAIRS) * 3}
    assert found.loc["scanner", "sd"] == pytest.approx(found.loc["scanner", "variance"] ** 0.5)


def test_scanners_that_are_domains_have_no_share_and_say_why(cells, tmp_path):
    card = {"scanners": {name: {"title": name, "where": {"domain": name}} for name in "xyz"}}
    groups = grouped_cells(cells, card)
    assert set(groups["scanner"]) == {""}
    paths = predict(tmp_path, cells, pd.Series(1.5, cells.index))
    found = split_rows(paths, {"d": groups}, {"d": card}, draws=100).set_index("component")
    assert found.loc["scanner", "note"] == why_not_parted(card)
    assert np.isnan(found.loc["scanner", "variance"])
    assert found.loc["domain", "levels"] == 3


def test_cells_of_no_known_scanner_are_left_out(cells):
    short = {"scanners": {name: CARD["scanners"][name] for name in "ab"}}
    assert len(grouped_cells(cells, short)) == len(cells) * 2 // 3


def test_slides_too_few_for_an_error_give_no_component(cells, tmp_path):
    one = cells[cells["slide"] == cells["slide"].iloc[0]].reset_index(drop=True)
    paths = predict(tmp_path, one, pd.Series(1.0, one.index))
    table = split_rows(paths, {"d": grouped_cells(one, {})}, {"d": {}}, draws=10)
    assert table["variance"].isna().all()
    assert set(table["note"][1:]) >= {"no part has two slides of each label"}
    assert (table["parts"] == 0).all()
