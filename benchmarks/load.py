"""How time and memory grow with the cells or the slides: python benchmarks/load.py [STEP …].

Every image is its own slide, which is the worst case. The size of `slides`, `atlas`, `geojson`,
`regions` and `page` is in slides, of two cells each. Each step runs in a process of its own at
several sizes; seconds are of the processor, all threads together, and the exponent is the slope
of log time against log size from one size to the next.
"""

import argparse
import functools
import multiprocessing
import resource
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import process_time

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "workflow"), str(ROOT / "tests" / "tools")]

DRAWS = 1000
FOLDS = 5


def _cells(count: int) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    label = rng.integers(2, size=count)
    names = np.char.add("image_", np.arange(count).astype(str))
    return pd.DataFrame(
        {"id": np.arange(count), "slide": names, "label": label, "domain": "all",
         "score": np.round(1 / (1 + np.exp(-rng.normal(label))), 6)}
    )  # fmt: skip


def score(count: int) -> None:
    """All metrics of one fold that tests every cell."""
    from cryotome.evaluation.scores import measure_scores

    cells = _cells(count)
    measure_scores(cells, cells.head(1000))


def compare(count: int) -> None:
    """Intervals and the comparison of two rows over five folds that share the cells."""
    from cryotome.evaluation.statistics.comparisons import comparisons, intervals
    from cryotome.evaluation.statistics.paired_scores import PairedScores
    from cryotome.evaluation.statistics.rows import prepare_rows
    from cryotome.study.facts import Statistics

    cells = _cells(count)
    cells["other"] = cells["score"].sample(frac=1, random_state=0).to_numpy()
    names = {"score": "a + b", "other": "c + d"}
    cells = cells.drop(columns="domain").rename(columns=names)
    folds = np.array_split(np.random.default_rng(1).permutation(count), FOLDS)
    parts = [cells.iloc[fold].reset_index(drop=True) for fold in folds]
    scores = PairedScores(
        parts, list(range(FOLDS)), dict.fromkeys(names.values(), 1000.0), {"random"}
    )
    calibration = pd.read_csv(ROOT / "config" / "calibration.csv")
    rows = prepare_rows({("d", "random", "1.0", "all"): scores}, DRAWS, calibration)
    intervals(rows, 0.05)
    comparisons(rows, "a + b", Statistics(DRAWS, alpha=0.05, margin=0.02))


def slides(count: int) -> None:
    """The patients of so many slides, with a table."""
    from cryotome.data.cohorts import read_slides

    names = [f"slide_{number}" for number in range(count)]
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "slides.csv"
        patients = [f"p{number // 2}" for number in range(count)]
        pd.DataFrame({"FILENAME": names, "PATIENT": patients}).to_csv(table, index=False)
        read_slides(names, table=table)


def _embedded(count: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    label = rng.integers(2, size=count)
    x = rng.standard_normal((count, 1536), dtype=np.float32)
    x[:, 0] += label
    return x, label


def knn(count: int) -> None:
    """Nearest neighbours of one fold, four fifths of the cells against the last one."""
    from cryotome.learners.probes.neighbours import score_knn

    x, label = _embedded(count)
    train = count * 4 // 5
    score_knn(x[:train], label[:train], x[train:], neighbours=20)


def knn_sklearn(count: int) -> None:
    """The same by scikit-learn's search, which takes every product in float64."""
    from cryotome.learners.probes import neighbours

    neighbours.MIN_DIM = 1 + 1536
    knn(count)


def knn_limit(count: int) -> None:
    """The products that any such search computes, in blocks, in float32."""
    (x, _), train = _embedded(count), count * 4 // 5
    for first in range(train, count, 1024):
        x[first : first + 1024] @ x[:train].T


def _fit(learner: str, count: int) -> None:
    from cryotome.learners.probes.fold_batches import FoldRows
    from cryotome.learners.probes.probe import fit_and_score_folds

    card = {
        "learner": learner,
        "cost_factor": 1.0,
        "target_sd": 1.0,
        "max_iterations": 100,
        "tolerance": 1e-4,
    }
    (x, label), rng = _embedded(count), np.random.default_rng(1)
    orders = [rng.permutation(count) for _ in range(FOLDS)]
    folds = [FoldRows(*np.split(order, [count * 3 // 4, count * 4 // 5])) for order in orders]
    list(fit_and_score_folds(card, x, label, folds))


def probe(count: int) -> None:
    """A probe of five folds on embeddings of 1,536 numbers."""
    _fit("probe", count)


def logreg(count: int) -> None:
    """A logistic regression of scikit-learn, five folds, on embeddings of 1,536 numbers."""
    _fit("logreg", count)


def clinic(count: int) -> None:
    """Operating points and calibration of one row, one fold, all slides drawn again."""
    from cryotome.evaluation.clinical.calibration import summarise_calibration
    from cryotome.evaluation.clinical.operating_points import FoldCells, operating_points

    cells = _cells(count).assign(mm2=1e-3)
    cells["slide"] = cells["slide"].astype("category")
    operating_points([FoldCells(cells, cells.head(1000))])
    summarise_calibration([cells], DRAWS)


ROWS = [("a", "h"), ("b", "h"), ("c", "h")]
CARD = {
    "title": "Invented", "classes": [{"name": "look-alike"}, {"name": "mitotic figure"}],
    "domains": {name: {"title": name} for name in ("left", "right")},
}  # fmt: skip


def _in_folder(step: Callable[[int, Path], None]) -> Callable[[int], None]:
    """Give a step a folder of its own."""

    @functools.wraps(step)
    def run(count: int) -> None:
        with tempfile.TemporaryDirectory() as folder:
            step(count, Path(folder))

    return run


def _pairs(slides: int) -> pd.DataFrame:
    """Return two cells of each slide."""
    cells = _cells(2 * slides).rename(columns={"slide": "image"}).drop(columns="score")
    cells["slide"] = cells["image"] = cells["image"].iloc[cells["id"] // 2].to_numpy() + ".tiff"
    cells["domain"] = np.where(cells["id"] // 2 % 2, "left", "right")
    return cells.assign(x=100.0 + 30 * (cells["id"] % 2), y=100.0)


def _predicted(cells: pd.DataFrame, folder: Path) -> list[Path]:
    """Write splits and predictions of three rows and two folds that part the slides."""
    from cryotome.core.files import sha256
    from cryotome.learners.predictions import split_path, write_predictions

    cells.to_csv(table := folder / "cells.csv", index=False)
    rng, paths, notes = np.random.default_rng(0), [], {"cells_sha256": sha256(table)}
    for fold in range(2):
        tested = cells["id"] // 2 % 4 < 2 if fold else cells["id"] // 2 % 4 >= 2
        role = np.where(tested, "test", np.where(cells["id"] % 10 < 2, "validation", "train"))
        for model, head in ROWS:
            where = f"predictions/d/slide_grouped/view=v/model={model}/head={head}"
            paths.append(folder / where / f"fraction=1.0/fold={fold}.csv")
            split_path(paths[-1]).parent.mkdir(parents=True, exist_ok=True)
            pd.DataFrame({"id": cells["id"], "role": role}).to_csv(
                split_path(paths[-1]), index=False
            )
            split_path(paths[-1]).with_suffix(".json").write_text('{"drawn": {}}', encoding="utf-8")
            scored = cells[role != "train"]
            score = np.clip(rng.normal(0.3 + 0.4 * scored["label"], 0.3), 0, 1)
            roles = scored[["id"]].assign(role=role[role != "train"])
            write_predictions(
                paths[-1], roles.assign(label=scored["label"]), score, split=split_path(paths[-1]),
                notes=notes,
            )  # fmt: skip
    return paths


def _atlas(cells: pd.DataFrame, folder: Path) -> tuple:
    from cryotome.core.files import sha256
    from cryotome.report.atlas.errors import read_atlas

    paths = _predicted(cells, folder)
    labels = {f"{model} + {head}": model for model, head in ROWS}
    corner = {"left": cells["x"] - 32, "top": cells["y"] - 32, "side": 64.0, "margin": 4.0}
    windows = cells[["id"]].assign(**corner, place=cells["image"])
    known = sha256(folder / "cells.csv")
    return read_atlas(cells, windows, paths, CARD, labels, known), windows


@_in_folder
def atlas(slides: int, folder: Path) -> None:
    """Reading an atlas of three rows and two folds, agreement, choice of sheets, table."""
    from cryotome.core.tables import write_csv
    from cryotome.report.atlas.agreement import pairwise_agreement
    from cryotome.report.atlas.sheet_plan import plan_sheets

    judged, _ = _atlas(_pairs(slides), folder)
    pairwise_agreement(judged)
    list(plan_sheets(judged))
    write_csv(judged.table(), folder / "table.csv")


@_in_folder
def geojson(slides: int, folder: Path) -> None:
    """The same atlas read, and a file a slide for QuPath."""
    from cryotome.report.atlas.qupath import write_geojson

    judged, windows = _atlas(_pairs(slides), folder)
    shown = pd.DataFrame({"file": ["errors.left.a.h.jpg"], "shown": [list(range(12))]})
    write_geojson(judged, windows, folder / "slides", shown)


@_in_folder
def regions(slides: int, folder: Path) -> None:
    """All that `clinical_summary` tabulates and draws of three rows and two folds."""
    from some_facts import some

    from cryotome.core.charts import save_chart
    from cryotome.evaluation.clinical.row_summary import read_dataset, summarise_rows
    from cryotome.learners.predictions import split_path
    from cryotome.report.figures.clinical import draw_bland_altman, draw_reliability
    from cryotome.study.facts import RowFacts, Statistics
    from cryotome.study.row import Row

    cells, names = _pairs(slides), {f"{model} + {head}": model for model, head in ROWS}
    paths = _predicted(cells, folder)
    audit = folder / "audit.csv"
    audit.write_text("finding,id,other,left_out,other_left_out\n", encoding="utf-8")
    splits = sorted(set(map(split_path, paths)))
    read = read_dataset(folder / "cells.csv", audit, splits, {"left": 2.0, "right": 2.0})
    facts = some(
        RowFacts, rows=[Row(*pair) for pair in ROWS], labels=names, figure2=list(names),
        datasets={"d": "D"}, domains={"d": {"left": "left", "right": "right"}},
        schemes={"slide_grouped": "whole slides"}, statistics=Statistics(DRAWS, 0.05, 0.02),
    )  # fmt: skip
    found = summarise_rows({"d": read}, paths, facts)
    save_chart(draw_reliability(found, facts), folder / "r.pdf", folder / "r.png")
    save_chart(draw_bland_altman(found, facts), folder / "b.pdf", folder / "b.png")


@_in_folder
def page(slides: int, folder: Path) -> None:
    """The page of three rows: every slide is a region and has a file for QuPath."""
    from page_study import make_page, study_of, write_page

    from cryotome.study.gather_facts import page_facts

    make_page(folder, rows=3)
    home, rng = folder / "studies" / "invented", np.random.default_rng(0)
    name = [f"image_{number}.tiff" for number in range(slides)]
    listed = pd.read_csv(home / "atlas/midog2022/slides.csv").drop(columns=["slide", "file"])
    listed = listed.merge(pd.DataFrame({"slide": name, "place": name}), how="cross")
    listed["file"] = "atlas/midog2022/slides/" + listed["slide"] + ".geojson"
    listed.assign(errors=rng.integers(0, 6, slides)).to_csv(
        home / "atlas/midog2022/slides.csv", index=False
    )
    counts = pd.read_csv(home / "counts.csv").drop_duplicates(["model", "head", "domain"])
    counts = counts.drop(columns="image").groupby(["model", "head"]).head(1)
    counts = counts.merge(pd.DataFrame({"image": name}), how="cross")
    for column in ("annotated", "counted"):
        counts[column] = rng.integers(0, 60, len(counts))
    counts.to_csv(home / "counts.csv", index=False)
    write_page(home / "index.html", page_facts(study_of(3, ["midog2022"])))
    print(f"page: {(home / 'index.html').stat().st_size / 1e6:.1f} MB", file=sys.stderr)


STEPS: dict[str, tuple[Callable[[int], None], list[int]]] = {
    "score": (score, [40_000, 200_000, 1_000_000]),
    "compare": (compare, [40_000, 200_000, 1_000_000]),
    "clinic": (clinic, [2_000, 10_000, 50_000]),
    "knn": (knn, [10_000, 20_000, 40_000]),
    "knn_sklearn": (knn_sklearn, [10_000, 20_000, 40_000]),
    "knn_limit": (knn_limit, [10_000, 20_000, 40_000]),
    "probe": (probe, [10_000, 40_000, 160_000]),
    "logreg": (logreg, [5_000, 10_000, 20_000]),
    "slides": (slides, [2_000, 8_000, 50_000]),
    "atlas": (atlas, [2_000, 10_000, 50_000]),
    "geojson": (geojson, [2_000, 10_000, 50_000]),
    "regions": (regions, [2_000, 10_000, 50_000]),
    "page": (page, [2_000, 10_000, 50_000]),
}


def _measured(step: str, count: int, queue: multiprocessing.Queue) -> None:
    start, before = process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    STEPS[step][0](count)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    queue.put((process_time() - start, before / 2**20, peak / 2**20))


def main(steps: list[str]) -> None:
    spawn = multiprocessing.get_context("spawn")
    print("| step | size | seconds | peak GiB | exponent |\n| --- | --- | --- | --- | --- |")
    for step in steps or STEPS:
        last: tuple[int, float] | None = None
        for count in STEPS[step][1]:
            queue = spawn.Queue()
            process = spawn.Process(target=_measured, args=(step, count, queue))
            process.start()
            process.join()
            if process.exitcode:
                print(f"| {step} | {count:,} | ended with {process.exitcode} | | |")
                break
            seconds, _, peak = queue.get()
            slope = np.log(seconds / last[1]) / np.log(count / last[0]) if last else np.nan
            print(f"| {step} | {count:,} | {seconds:.1f} | {peak:.2f} | {slope:.2f} |", flush=True)
            last = count, seconds


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("steps", nargs="*", choices=[[], *STEPS], metavar="STEP")
    main(parser.parse_args().steps)
