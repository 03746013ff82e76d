import json
import runpy

import h5py
import numpy as np
import pandas as pd
import pytest
from conftest import CONFIG, ROOT
from tests.learners.probes.test_linear import features

from cryotome.core.cards import load_card
from cryotome.core.errors import CardError
from cryotome.core.files import sha256
from cryotome.core.metrics import auroc
from cryotome.core.store import EMBEDDINGS, VERSION, finalise_store
from cryotome.learners.probes.fold_batches import FoldRows
from cryotome.learners.probes.linear import Execution, fit_linear
from cryotome.learners.probes.probe import feature_sd, fit_and_score_folds, fit_log_line

HEADS = ["linear_probe", "ridge", "ridge_cv", "knn", "knn_plain", "logreg"]


def head(name, **changes):
    return load_card(CONFIG, "heads", name) | changes


def folds(count=600):
    rows = np.arange(count)
    return [
        FoldRows(rows[: count // 2], rows[count // 2 : count * 2 // 3], rows[count // 2 :]),
        FoldRows(rows[:20], rows[20:30], rows[20:]),
        FoldRows(rows[: count // 3], rows[-5:], rows[:7]),
    ]


@pytest.mark.parametrize("name", HEADS)
def test_every_head_scores_every_fold_in_order_and_its_notes_are_json(name):
    x, y = features(600, 20, scale=10)
    fitted_folds = []
    fitted = list(
        fit_and_score_folds(
            head(name), x, y, folds(), execution=Execution(on_progress=fitted_folds.append)
        )
    )
    assert [len(scores) for scores, *_ in fitted] == [300, 580, 7]
    assert sum(fitted_folds) == 3
    assert auroc(y[300:], fitted[0][0]) > 0.7
    for (scores, notes, _), fold in zip(fitted, folds(), strict=True):
        assert np.isfinite(scores).all()
        assert 0 <= scores.min() <= scores.max() <= 1
        json.dumps(notes, allow_nan=False)
        assert fit_log_line(head(name), fold, notes).startswith(f"n {len(fold.train)}")


def test_scores_are_those_of_a_fit_of_its_own():
    x, y = features(600, 20, scale=10)
    for name in ("linear_probe", "ridge"):
        for fold, (scores, notes, _) in zip(
            folds(), fit_and_score_folds(head(name), x, y, folds()), strict=True
        ):
            squared = name == "ridge"
            fit = fit_linear(x[fold.train], y[fold.train], penalty=0.01, squared=squared)
            assert scores == pytest.approx(fit.score(x[fold.scored]), abs=1e-4)
            assert notes["effective_c"] == pytest.approx(fit.c_effective, rel=1e-3)
            assert notes["feature_sd"] == pytest.approx(fit.feature_sd)


def test_the_probe_depends_on_scale_and_ridge_hardly_does():
    x, y = features(600, 100)
    fold = FoldRows(np.arange(300), np.arange(0), np.arange(300, 600))
    got = {
        (name, scale): auroc(
            y[300:], next(fit_and_score_folds(head(name), x * np.float32(scale), y, [fold]))[0]
        )
        for name in ("linear_probe", "ridge")
        for scale in (20.0, 1.0)
    }
    fall = {name: got[name, 20.0] - got[name, 1.0] for name in ("linear_probe", "ridge")}
    assert fall["linear_probe"] > 0.2
    assert abs(fall["ridge"]) < 0.1


def test_a_head_with_sd_does_not_feel_the_scale_of_a_store():
    x, y = features(600, 20)
    card = head("linear_probe_sd2")
    fitted = [
        list(fit_and_score_folds(card, x * np.float32(scale), y, folds())) for scale in (1, 64)
    ]
    for (one, notes, _), (other, *_) in zip(*fitted, strict=True):
        assert one == pytest.approx(other, abs=1e-6)
        assert notes["feature_sd"] == pytest.approx(2, rel=0.2)  # of the fold, not of the store
        assert notes["feature_factor"] == pytest.approx(2 / feature_sd(x))


def test_a_store_without_any_variance_has_no_scale():
    x, y = np.ones((600, 3), np.float32), np.arange(600) % 2
    notes = next(fit_and_score_folds(head("linear_probe_sd2"), x, y, folds()))[1]
    assert (notes["feature_factor"], notes["zero"]) == (1.0, True)


def test_a_probe_that_is_zero_warns_in_the_log_and_ridge_does_not():
    x, y = features(600, 20, scale=1e-3)
    said = {}
    for name in ("linear_probe", "ridge"):
        _, notes, _ = next(fit_and_score_folds(head(name), x, y, folds()))
        said[name] = fit_log_line(head(name), folds()[0], notes)
    assert "Warning: W = 0 is the optimum" in said["linear_probe"]
    assert "AUROC 0.5 by construction; see ridge" in said["linear_probe"]
    assert "Warning" not in said["ridge"]


def test_fewer_cells_than_neighbours_are_said_and_noted():
    x, y = features(600, 20)
    fold = FoldRows(np.arange(12), np.arange(0), np.arange(12, 60))
    _, notes, _ = next(fit_and_score_folds(head("knn"), x, y, [fold]))
    assert notes == {"neighbours_used": 12}
    assert (
        fit_log_line(head("knn"), fold, notes)
        == "n 12; all 12 training cells vote, of 20 neighbours asked for"
    )


def test_a_logistic_regression_that_is_cut_short_warns_in_the_log_and_in_its_notes():
    x, y = features(600, 20)
    said = {}
    for iterations in (1000, 2):
        card = head("logreg", max_iterations=iterations)
        _, notes, _ = next(fit_and_score_folds(card, x, y, folds()))
        assert notes["converged"] == (iterations == 1000)
        said[iterations] = fit_log_line(card, folds()[0], notes)
    assert said[1000].startswith("n 300, C 0.4, ")
    assert "Warning" not in said[1000]
    assert "Warning: lbfgs failed to converge after 2 iteration(s)" in said[2]


def test_the_prevalence_of_slides_scores_cells_by_their_slide_alone():
    x = np.array([[0.0], [0], [1], [1], [0], [1], [2]], np.float32)
    fold = FoldRows(np.arange(4), np.arange(0), np.arange(4, 7))
    scores, notes, _ = next(
        fit_and_score_folds(head("slide_prevalence"), x, np.array([1, 1, 0, 1, 0, 0, 0]), [fold])
    )
    assert scores.tolist() == [2.75 / 3, 1.75 / 3, 0.75]
    assert notes == {}


def test_the_log_of_the_slide_alone_says_how_many_cells_train():
    fold = FoldRows(np.arange(3), np.arange(0), np.arange(2))
    assert fit_log_line(head("slide_prevalence"), fold, {}) == "n 3"
    voted = fit_log_line(head("knn"), fold, {"neighbours_used": 3})
    assert voted.startswith("n 3; all 3 training cells vote, of ")


def test_the_sweep_and_the_grid_stand_in_cards():
    assert [
        head(f"{name}_sd{n}")["target_sd"]
        for name in ("linear_probe", "ridge")
        for n in ("2", "0_2", "0_05")
    ] == [2, 0.2, 0.05] * 2
    assert head("ridge_cv")["c_grid"] == sorted(head("ridge_cv")["c_grid"])


def test_a_card_says_only_what_its_learner_reads(tmp_path):
    (tmp_path / "heads").mkdir()
    for text, said in (
        ("learner: ridge_cv\ncost_factor: 0.01", "'c_grid' is a required property"),
        ("learner: prevalence\ncost_factor: 0.01", "'prevalence' is not one of"),
        ("learner: knn\nneighbours: 3\ntarget_sd: 1", "'knn' is not one of"),
        ("learner: ridge\ncost_factor: 1\nc_grid: [1]", r"is not one of \['ridge_cv', 'mil'\]"),
        ("learner: ridge\ncost_factor: 1\nmax_iterations: 9", "'logreg' was expected"),
        ("learner: logreg\ncost_factor: 1", "'max_iterations' is a required property"),
        ("learner: ridge\ncost_factor: 1\nnormalised: true", "'knn' was expected"),
    ):
        (tmp_path / "heads" / "mine.yaml").write_text(
            f"title: x\nsource: x\n{text}\n", encoding="utf-8"
        )
        with pytest.raises(CardError, match=said):
            load_card(tmp_path, "heads", "mine")


def test_the_script_writes_all_fractions_and_folds_of_a_scheme(tmp_path, capsys):
    x, y = features(120, 8, scale=1e-3)
    cells = pd.DataFrame(
        {
            "id": np.arange(120) * 3,
            "image": "a.tiff",
            "x": 1.0,
            "y": 1.0,
            "label": y,
            "slide": "s",
            "domain": "d",
        }
    )
    cells.to_csv(tmp_path / "cells.csv", index=False)
    about = {"format": EMBEDDINGS, "version": VERSION, "recipe": 1, "model": "m", "view": "v"}
    about |= {
        "weights_sha256": "w",
        "patches_sha256": "p",
        "cells_sha256": sha256(tmp_path / "cells.csv"),
    }
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file["embedding"], file["id"] = x, cells["id"].to_numpy()
    finalise_store(tmp_path / "m.h5", "embedding", about | {"card": json.dumps({"dim": 8})})
    splits, predictions = [], []
    for fraction in ("0.1", "1.0"):
        for fold in range(2):
            role = np.where(
                np.arange(120) < 60, "train", np.where(np.arange(120) < 80, "validation", "test")
            )
            split = tmp_path / f"{fraction}.{fold}.csv"
            pd.DataFrame({"id": cells["id"], "role": np.roll(role, fold * 40)}).to_csv(
                split, index=False
            )
            split.with_suffix(".json").write_text('{"drawn": "random"}', encoding="utf-8")
            splits.append(split)
            predictions.append(tmp_path / "out" / f"{fraction}.{fold}.csv")
    main = runpy.run_path(str(ROOT / "workflow" / "scripts" / "probe.py"))["main"]
    store, cells_csv = tmp_path / "m.h5", tmp_path / "cells.csv"
    main([store], [cells_csv], splits, predictions, [], head("linear_probe"), {}, {}, "m", "v")
    table = pd.read_csv(predictions[1])
    assert table.columns.tolist() == ["id", "role", "label", "score"]
    assert len(table) == 60
    assert table["label"].tolist() == y[table["id"] // 3].tolist()
    notes = json.loads(predictions[0].with_suffix(".json").read_text(encoding="utf-8"))
    assert (notes["zero"], notes["n_train"], notes["model"]) == (True, 60, "m")
    assert notes["effective_c"] == 0
    said = capsys.readouterr().err
    assert said.count("W = 0 is the optimum") == 4
    assert "0.1.0.csv: n 60, SD 0.000" in said


def test_permuted_labels_are_the_floor_and_the_scored_cells_keep_theirs():
    x, y = features(600, 20, scale=10)
    fold = folds()[0]
    values = {
        name: auroc(y[fold.scored], next(fit_and_score_folds(head(name), x, y, [fold]))[0])
        for name in ("ridge", "ridge_permuted")
    }
    assert values["ridge"] > 0.7
    assert abs(values["ridge_permuted"] - 0.5) < 0.1
