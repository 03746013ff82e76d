import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.evaluation.statistics.test_comparisons import paired as three_folds

from cryotome.core.errors import StoreError
from cryotome.core.files import sha256
from cryotome.evaluation.statistics.paired_scores import load_paired_scores

CELLS = pd.DataFrame(
    {"slide": np.arange(40) // 5, "domain": ["a"] * 20 + ["b"] * 20}, index=pd.RangeIndex(40)
).astype({"slide": str})


def write(
    folder: Path, head: str, scheme: str = "random", fold: int = 0, ids=range(40), seed: int = 0
) -> Path:
    """Write predictions as a learner does; validation lines are to be passed over."""
    path = (
        folder / f"predictions/d/{scheme}/view=v/model=m/head={head}/fraction=1.0/fold={fold}.csv"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    label = np.arange(len(ids)) % 2
    table = pd.DataFrame({"id": list(ids), "role": "test", "label": label})
    table["score"] = np.round(rng.uniform(size=len(ids)) + label / 2, 2)
    extra = pd.DataFrame({"id": [99], "role": ["validation"], "label": [1], "score": [0.5]})
    pd.concat([table, extra]).to_csv(path, index=False)
    about = {"n_train": 100 + fold, "csv_sha256": sha256(path), "split_sha256": "not at hand"}
    path.with_suffix(".json").write_text(json.dumps(about), encoding="utf-8")
    return path


def test_rows_of_one_setting_stand_beside_each_other(tmp_path):
    paths = [write(tmp_path, h, fold=f, seed=s) for s, h in enumerate("pq") for f in (0, 1)]
    settings = load_paired_scores(paths, {"d": CELLS})
    assert list(settings) == [("d", "random", "1.0", "all"), ("d", "random", "1.0", "domains")]
    whole, by_domain = settings.values()
    assert whole.rows == ["m + p", "m + q"]
    assert whole.folds == [0, 1]
    assert by_domain.folds == [0, 0, 1, 1]
    assert whole.training_cells == {"m + p": 100.5, "m + q": 100.5}
    assert len(whole.parts[0]) == 40  # no validation cell
    assert whole.slides.tolist() == sorted("01234567")


def test_one_domain_is_not_reported_twice(tmp_path):
    settings = load_paired_scores([write(tmp_path, "p")], {"d": CELLS.assign(domain="a")})
    assert list(settings) == [("d", "random", "1.0", "all")]


def test_schemes_of_domains_are_pooled_too(tmp_path):
    paths = [write(tmp_path, "p", f"from_{d}") for d in "ab"]
    paths += [
        write(tmp_path, "p", "except_a_matched", ids=range(20)),
        write(tmp_path, "p", "except_b_matched", ids=range(20, 40)),
    ]
    settings = load_paired_scores(paths, {"d": CELLS})
    counts = {keys[1:]: len(paired.parts) for keys, paired in settings.items()}
    assert counts[("from_*", "1.0", "in")] == counts[("from_*", "1.0", "out")] == 2
    assert counts[("from_a", "1.0", "in")] == 1
    assert counts[("except_*_matched", "1.0", "domains")] == 2
    inside = settings[("d", "from_a", "1.0", "in")].parts[0]
    assert set(inside["slide"]) == set("0123")


def test_the_mean_over_parts_is_what_every_statistic_is_about(tmp_path):
    paths = [write(tmp_path, "p", fold=f, seed=f) for f in (0, 1)]
    paired = load_paired_scores(paths, {"d": CELLS})[("d", "random", "1.0", "all")]
    mean = paired.auroc_by_fold("m + p").mean()
    assert paired.influence("m + p", clusters=paired.slides).auroc == pytest.approx(mean, abs=1e-12)
    draws = paired.bootstrap("m + p", slides=paired.slides, draws=2000)
    assert np.nanmean(draws) == pytest.approx(mean, abs=0.02)


def test_rows_scored_on_other_cells_are_refused(tmp_path):
    paths = [write(tmp_path, "p"), write(tmp_path, "q", ids=range(1, 40))]
    with pytest.raises(StoreError, match="head=q.*was not scored on the cells of the other rows"):
        load_paired_scores(paths, {"d": CELLS.assign(domain="a")})


def test_a_row_that_lacks_a_fold_is_refused(tmp_path):
    paths = [write(tmp_path, "p", fold=0), write(tmp_path, "p", fold=1), write(tmp_path, "q")]
    with pytest.raises(
        StoreError, match="m . q has no predictions for a fold or domain of d, random, 1.0, all"
    ):
        load_paired_scores(paths, {"d": CELLS})


def test_cells_of_another_domain_first_are_refused_too(tmp_path):
    paths = [write(tmp_path, "p", ids=range(15, 40)), write(tmp_path, "q", ids=range(20, 40))]
    with pytest.raises(StoreError, match="was not scored on the cells of the other rows"):
        load_paired_scores(paths, {"d": CELLS})


def test_folds_that_part_the_slides_are_known_as_grouped(tmp_path):
    halves = [write(tmp_path, "p", "slide_grouped", f, range(20 * f, 20 * f + 20)) for f in (0, 1)]
    settings = load_paired_scores(halves, {"d": CELLS.assign(domain="a")})
    assert settings[("d", "slide_grouped", "1.0", "all")].folds_split_slides
    both = load_paired_scores([write(tmp_path, "p", fold=f) for f in (0, 1)], {"d": CELLS})
    assert not both[("d", "random", "1.0", "all")].folds_split_slides


def test_the_corrected_t_takes_the_ratio_from_the_cells_themselves():
    flat = three_folds(n=1000)
    assert flat.test_to_training_ratio("good", "1.0") == pytest.approx(
        0.4
    )  # 400 tested, 1,000 trained on
    assert flat.test_to_training_ratio("good", "0.1") == pytest.approx(
        0.04
    )  # these were a tenth of the pool


def test_cells_with_scanners_are_parted_by_them(tmp_path):
    by = np.where(np.arange(40) % 10 < 5, "scanner_x", "scanner_y")
    cells = CELLS.assign(scanner=np.where(np.arange(40) < 30, by, ""))
    known = range(30)
    paths = [write(tmp_path, "p"), write(tmp_path, "p", "from_a")]
    paths += [write(tmp_path, "p", f"from_scanner_{s}", ids=known) for s in "xy"]
    settings = load_paired_scores(paths, {"d": cells})
    sizes = {keys[1:4:2]: sum(map(len, one.parts)) for keys, one in settings.items()}
    assert sizes[("random", "scanner_x")] == sizes[("random", "scanner_y")] == 15
    assert sizes[("random", "all")] == sizes[("random", "domains")] == 40
    assert sizes[("from_a", "in")] == sizes[("from_a", "out")] == 20
    assert sizes[("from_scanner_x", "in")] == sizes[("from_scanner_x", "out")] == 15
    assert sizes[("from_scanner_*", "out")] == 30
    inside = settings[("d", "from_scanner_x", "1.0", "in")].parts[0]
    assert set(cells.loc[inside["id"], "scanner"]) == {"scanner_x"}
