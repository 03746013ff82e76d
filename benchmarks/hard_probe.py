"""What does ridge cost on data that hurt a solver, beside every solver of scikit-learn?

Features are synthetic, one fold each. Four designs: classes that are nearly separable at a large
scale (rare positives, as mitotic figures among look-alikes), fewer rows than features, every column
twice, and a scale of 1e6. All methods minimise C * (sum of cross-entropies) + |w|² / 2. Peers get
their best form: centred features, divided by one number, C multiplied by its square. Prints per
design processor seconds (the median of the repeats, which interleave), the gap of the objective to
the float64 optimum, and the ratio to ours. The optimum is the least objective that any method has.

    OMP_NUM_THREADS=1 python benchmarks/hard_probe.py
    python benchmarks/hard_probe.py --rows 2000 --width 128      # a look, in seconds
"""

import argparse
import sys
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from probe import PENALTY, invented, objective

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow"))

from cryotome.learners.probes.linear import fit_linear

RARE = 0.2  # share of positives
APART = 4.2  # distance of the classes that are nearly separable; features have a mean SD of 0.7
# at these tolerances a solver comes as near the optimum as it can, or as ours
SOLVERS = {
    "lbfgs": {"max_iter": 3000, "tol": 1e-8},
    "newton-cholesky": {"max_iter": 100, "tol": 1e-10},
    "newton-cg": {"max_iter": 300, "tol": 1e-8},
    "liblinear": {"max_iter": 300, "tol": 1e-8},
}
ENOUGH = 1e-7  # gap below which a peer has solved the problem


def separable(rows: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return float32 features of two classes of which one is rare, and labels."""
    rng = np.random.default_rng(0)
    x, _ = invented(rows, width)
    y = (rng.random(rows) < RARE).astype(int)
    direction = rng.normal(size=width).astype(np.float32)
    x += (APART / np.linalg.norm(direction)) * np.outer(y, direction).astype(np.float32)
    return x * np.float32(10), y


def twice(rows: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return features of which each has a copy."""
    x, y = invented(rows, width // 2)
    return np.hstack([x, x]), y


def large(rows: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return features of a scale of 1e6."""
    x, y = invented(rows, width)
    return x * np.float32(1e6), y


DESIGNS: dict[str, Callable] = {
    "nearly separable": separable,
    "two thirds as many rows as features": lambda rows, width: invented(2 * width // 3, width),
    "every column twice": twice,
    "scale 1e6": large,
}


def peer(z: np.ndarray, y: np.ndarray, cost: float, solver: str) -> np.ndarray:
    """Return scikit-learn's weights."""
    from sklearn.linear_model import LogisticRegression

    # liblinear penalises the bias unless it is scaled up
    how = {"intercept_scaling": 100.0} if solver == "liblinear" else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = LogisticRegression(C=cost, solver=solver, **SOLVERS[solver], **how).fit(z, y)
    return model.coef_[0].astype(float)


def timed(work: Callable[[], np.ndarray]) -> tuple[float, np.ndarray]:
    """Return processor seconds and weights."""
    start = time.process_time()
    weights = work()
    return time.process_time() - start, weights


def compare(name: str, x: np.ndarray, y: np.ndarray, repeats: int) -> None:
    """Print a table of one design."""
    cost = PENALTY * x.shape[1] * 2
    z = x.astype(np.float64) - x.mean(axis=0, dtype=np.float64)
    scale = np.sqrt((z**2).mean())
    works: dict[str, Callable[[], np.ndarray]] = {
        "ours": lambda: fit_linear(x, y, penalty=PENALTY, squared=True).weights * scale
    }
    for solver in SOLVERS:
        works[solver] = partial(peer, z / scale, y, cost * scale**2, solver)
    seconds: dict[str, list[float]] = {key: [] for key in works}
    weights = {}
    for _ in range(repeats):
        for key, work in works.items():
            taken, weights[key] = timed(work)
            seconds[key].append(taken)
    value = {
        key: objective(w, z / scale, y, cost * scale**2, squared=True) for key, w in weights.items()
    }
    gap = {key: value[key] / min(value.values()) - 1 for key in works}
    print(f"\n{name}: {x.shape[0]:,} x {x.shape[1]:,}, optimum {min(value.values()):.3g}")
    for key in works:
        ratio = np.divide(seconds[key], seconds["ours"])
        print(
            f"  {key:16} {np.median(seconds[key]):8.2f} core-s   gap {gap[key]:7.0e}   "
            f"{np.median(ratio):6.1f} times ours ({ratio.min():.1f} to {ratio.max():.1f})",
            flush=True,
        )
    good = [key for key in SOLVERS if gap[key] < ENOUGH]
    if good:
        best = min(good, key=lambda key: np.median(seconds[key]))
        ratio = np.median(np.divide(seconds[best], seconds["ours"]))
        print(f"  fastest of those with a gap below {ENOUGH:g}: {best}, {ratio:.1f} times ours")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=13153, help="0.64 of 20,552 cells")
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    for name, design in DESIGNS.items():
        compare(name, *design(given.rows, given.width), given.repeats)
