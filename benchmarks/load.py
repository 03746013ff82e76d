"""How time and memory of the statistics grow with the cells: python benchmarks/load.py [STEP …].

Every image is its own slide, which is the worst case. Each step runs in a process of its own at
several sizes; seconds are of the processor, all threads together, and the exponent is the slope
of log time against log size from one size to the next.
"""

import argparse
import multiprocessing
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from time import process_time

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow"))

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
    from cryotome.evaluation.statistics.rows import read_blocks

    cells = _cells(count)
    cells["other"] = cells["score"].sample(frac=1, random_state=0).to_numpy()
    names = {"score": "a + b", "other": "c + d"}
    cells = cells.drop(columns="domain").rename(columns=names)
    folds = np.array_split(np.random.default_rng(1).permutation(count), FOLDS)
    parts = [cells.iloc[fold].reset_index(drop=True) for fold in folds]
    block = PairedScores(
        parts, list(range(FOLDS)), dict.fromkeys(names.values(), 1000.0), {"random"}
    )
    about = {"draws": DRAWS, "alpha": 0.05, "margin": 0.02}
    calibration = pd.read_csv(Path(__file__).resolve().parents[1] / "config" / "calibration.csv")
    rows = read_blocks({("d", "random", "1.0", "all"): block}, about, calibration)
    intervals(rows, 0.05)
    comparisons(rows, "a + b", about)


def slides(count: int) -> None:
    """The patients of so many slides, with a table."""
    import tempfile

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

    neighbours.WIDE = 1 + 1536
    knn(count)


def knn_limit(count: int) -> None:
    """The products that any such search computes, in blocks, in float32."""
    (x, _), train = _embedded(count), count * 4 // 5
    for first in range(train, count, 1024):
        x[first : first + 1024] @ x[:train].T


def _fit(learner: str, count: int) -> None:
    from cryotome.learners.probes.probe import Fold, fit_and_score_folds

    card = {"learner": learner, "penalty": 1.0, "sd": 1.0, "iterations": 100, "tolerance": 1e-4}
    (x, label), rng = _embedded(count), np.random.default_rng(1)
    orders = [rng.permutation(count) for _ in range(FOLDS)]
    folds = [Fold(*np.split(order, [count * 3 // 4, count * 4 // 5])) for order in orders]
    list(fit_and_score_folds(card, x, label, folds))


def probe(count: int) -> None:
    """A probe of five folds on embeddings of 1,536 numbers."""
    _fit("probe", count)


def logreg(count: int) -> None:
    """A logistic regression of scikit-learn, five folds, on embeddings of 1,536 numbers."""
    _fit("logreg", count)


def clinic(count: int) -> None:
    """Operating points and calibration of one row, one fold, all slides drawn again."""
    from cryotome.evaluation.clinical.calibration import calibrate
    from cryotome.evaluation.clinical.operating_points import Half, operating_points

    cells = _cells(count).assign(mm2=1e-3)
    cells["slide"] = cells["slide"].astype("category")
    operating_points([Half(cells, cells.head(1000))])
    calibrate([cells], DRAWS)


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
