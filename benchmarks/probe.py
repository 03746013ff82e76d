"""What do the linear probes of a study cost, beside the original's method and the machine's limit?

Features are synthetic (power-law spectrum, dense rotation, mean off zero, AUROC about 0.8), in a
temporary folder of at most 2 GB, one model at a time. Prints

(a) a full cell (46,620 training rows of 1,536 features, five folds) and all four fractions of it:
    ours, the original's method (torch L-BFGS, its settings, float32), scikit-learn's lbfgs and
    newton-cholesky on ridge: wall, core-seconds, gap of the objective to the float64 optimum. Peers
    run one fold of each size, times five where marked `x 5, extrapolated`; `--full` runs the
    original's method on all twenty. Beside them the
    limit: the same products at the matrix rate, the same reads at the read bandwidth, both
    measured in this run.
(b) the whole study: 8 models, MIDOG 2022-sized and CCMCT-sized, 320 + 200 probes, from HDF5 to
    prediction files: the script of the rule, as many jobs at once as there are cores, one thread
    each, as snakemake runs them. Only these jobs are timed.
(c) cost against rows and features, `probe_cost.png` in the output folder.

`hard_probe.py` compares ridge with every solver of scikit-learn on data that hurt.

    python benchmarks/probe.py --out .
    python benchmarks/probe.py --parts a --width 256 --cells 8000     # a look, in seconds
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow"))

from cryotome.core.cards import load_card, without_notes
from cryotome.core.files import sha256
from cryotome.core.metrics import auroc
from cryotome.core.store import EMBEDDINGS, VERSION, finalise_store
from cryotome.data.splits.cells import draw_split
from cryotome.learners.probes.linear import fit_folds
from cryotome.learners.probes.objective import Objective

WIDTHS = [1536, 1536, 2560, 2560, 1024, 768, 1280, 2048]  # of the eight models of Ganz et al. 2024
CELLS = {"midog2022": 20552, "ccmct": 72845}
DOMAINS = {"breast": 0.2157, "lung": 0.0879, "lymphoma": 0.3998, "ccmct": 0.1797}
DOMAINS["neuroendocrine"] = 1 - sum(DOMAINS.values())  # shares of MIDOG 2022's cells
FRACTIONS = ["0.001", "0.01", "0.1", "1.0"]
FOLDS = 5
PENALTY = 0.01
ORIGINAL = "probe, original's method (torch L-BFGS)"


class Counter:
    """Counts the products and reads that the solver asks for."""

    def __init__(self) -> None:
        self.flops, self.bytes, self.bent = 0.0, 0.0, 0.0
        whole = {name: getattr(Objective, name) for name in ("evaluate", "recenter", "_gram")}

        def evaluate(objective: Objective, points: np.ndarray, folds: np.ndarray) -> tuple:
            self.add(objective.x, 4 * points.shape[0] * points.shape[1], 2)
            return whole["evaluate"](objective, points, folds)

        def recenter(objective: Objective, points: np.ndarray) -> tuple:
            self.add(objective.x, 8 * points.shape[0] * points.shape[1], 1)  # float64: half rate
            return whole["recenter"](objective, points)

        def gram(objective: Objective, x: torch.Tensor, curve: float) -> torch.Tensor:
            self.bent += 2 * x.shape[0] * x.shape[1] ** 2 * x.itemsize / 4
            return whole["_gram"](objective, x, curve)

        Objective.evaluate, Objective.recenter, Objective._gram = evaluate, recenter, gram

    def add(self, x: torch.Tensor, flops: int, reads: int) -> None:
        self.flops += flops * x.shape[0] * x.shape[1]
        self.bytes += reads * x.nbytes

    def limit(self, rate: float, bandwidth: float) -> tuple[float, float]:
        """Return seconds of arithmetic and of reading, and start again."""
        parts = (self.flops + self.bent) / rate, self.bytes / bandwidth
        self.flops = self.bytes = self.bent = 0.0
        return parts


def fastest(work: Callable[[], object], repeats: int = 7) -> float:
    """Return the seconds of the fastest repeat."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def machine() -> tuple[float, float]:
    """Return the rate of float32 matrix products, flop/s, and the read bandwidth, byte/s."""
    a, b = torch.randn(4096, 4096), torch.randn(4096, 4096)
    long = torch.randn(64, 2_000_000)  # 512 MB, more than a cache should hold
    right = torch.randn(2_000_000)
    return 2 * 4096**3 / fastest(lambda: a @ b), long.nbytes / fastest(lambda: long @ right)


def invented(count: int, width: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return float32 features (count, width) of mean SD 0.7, and labels 0 and 1."""
    rng = torch.Generator().manual_seed(seed)
    spectrum = (1 + torch.arange(width)) ** -0.5
    turn = torch.linalg.qr(torch.randn(width, width, generator=rng))[0] * spectrum
    x, truth = torch.empty(count, width), torch.empty(count)
    direction = torch.randn(width, generator=rng)
    for first in range(0, count, 4096):
        hidden = torch.randn(len(x[first : first + 4096]), width, generator=rng)
        x[first : first + 4096] = hidden @ turn.T
        truth[first : first + 4096] = (hidden * spectrum) @ direction
    chance = torch.sigmoid(truth / truth.std() * 1.5)
    y = (torch.rand(count, generator=rng) < chance).long().numpy()
    x *= 0.7 / float((spectrum**2).sum() / width) ** 0.5
    x += torch.randn(width, generator=rng)
    return x.numpy(), y


def measured(work: Callable[[], object]) -> tuple[float, float, object]:
    """Return wall seconds, core-seconds and what the work gives."""
    wall, core = time.perf_counter(), time.process_time()
    result = work()
    return time.perf_counter() - wall, time.process_time() - core, result


def objective(w: np.ndarray, x: np.ndarray, y: np.ndarray, cost: float, squared: bool) -> float:
    """Return the objective of centred float64 features with the best bias."""
    margin = x @ w
    bias = 0.0
    for _ in range(50):
        chance = (1 + np.tanh((margin + bias) / 2)) / 2
        step = (chance - y).mean() / (chance * (1 - chance)).mean()
        bias -= step
        if abs(step) < 1e-14:
            break
    loss = np.logaddexp(0, (1 - 2 * y) * (margin + bias)).mean()
    norm = np.linalg.norm(w)
    return float(loss + (norm**2 / (2 * cost * len(y)) if squared else norm / (cost * 8**0.5)))


def ridge(x: np.ndarray, y: np.ndarray, cost: float, solver: str, **how: float) -> np.ndarray:
    """Return scikit-learn's weights."""
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return LogisticRegression(C=cost, solver=solver, **how).fit(x, y).coef_[0].astype(float)


def line(what: str, wall: float, core: float, gap: float | str = "", times: int = 1) -> None:
    mark = f"  x {times}, extrapolated" if times > 1 else ""
    gap = f"{gap:.1e}" if isinstance(gap, float) else gap
    print(
        f"  {what:44} {wall * times:9.2f} s {core * times:9.2f} core-s  {gap:8}{mark}", flush=True
    )


def descend(x: np.ndarray, label: np.ndarray, *, cost: float) -> np.ndarray:
    """Run the optimiser of Chen et al.'s code: float32, torch's L-BFGS from zero in one call.

    Parameters
    ----------
    label : (n,) int, 0 .. K - 1

    Returns
    -------
    weights (K, M) float64
    """
    import torch
    from torch.nn.functional import cross_entropy

    features, target = torch.from_numpy(np.array(x, np.float32)), torch.from_numpy(label)
    weights = torch.zeros(int(label.max()) + 1, x.shape[1], requires_grad=True)
    bias = torch.zeros(len(weights), requires_grad=True)
    optimiser = torch.optim.LBFGS(
        [weights, bias], lr=1, max_iter=1000, tolerance_grad=1e-7, tolerance_change=1e-9,
        history_size=100, line_search_fn="strong_wolfe",
    )  # fmt: skip

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        loss = cross_entropy(features @ weights.T + bias, target)
        loss = loss + weights.norm() / (2 * cost)
        loss.backward()
        return loss

    optimiser.step(closure)
    return weights.detach().double().numpy()


def peers(x: np.ndarray, y: np.ndarray, rows: np.ndarray, cost: float) -> dict:
    """Return wall, core and weights of one fold, per peer."""
    mine, label = x[rows], y[rows]
    centred = mine.astype(np.float64) - mine.mean(axis=0, dtype=np.float64)
    works = {
        ORIGINAL: lambda: descend(mine, y[rows], cost=cost),
        "ridge, newton-cholesky float64, centred": lambda: ridge(
            centred, label, cost, "newton-cholesky", tol=1e-10
        ),
        "ridge, lbfgs float32, 1,000 iterations": lambda: ridge(
            mine, label, cost, "lbfgs", max_iter=1000
        ),
    }
    done = {}
    for name, work in tqdm(works.items(), desc="peers", unit="method", mininterval=5):
        wall, core, w = measured(work)
        done[name] = wall, core, w[1] - w[0] if w.ndim == 2 else w
    return done


def cell(cells: int, width: int, full: bool) -> tuple[float, float]:
    """Print part (a); return the ratios to the original's method and to the limit."""
    counter, (rate, bandwidth) = Counter(), machine()
    print(f"\nmatrix products {rate / 1e9:,.0f} GFLOP/s, reads {bandwidth / 1e9:.1f} GB/s")
    x, y = invented(cells, width)
    pool, train, cost = int(cells * 0.8), int(cells * 0.64), PENALTY * width * 2
    rng = np.random.default_rng(0)
    sizes = {f: max(12, int(float(f) * train)) for f in FRACTIONS}
    draws = {f: [rng.permutation(pool)[:n] for _ in range(FOLDS)] for f, n in sizes.items()}
    print(f"(a) {train:,} training rows of {width} features, five folds")
    ours, limits = {}, {}
    for squared in (False, True):
        work = partial(fit_folds, x, y, draws["1.0"], penalty=PENALTY, squared=squared)
        work()  # memory that a process touches first costs its own time
        counter.limit(1, 1)
        ours[squared] = measured(work)
        limits[squared] = counter.limit(rate, bandwidth)
    rest = np.arange(pool, cells)
    print(f"  AUROC of `probe` on the rest: {auroc(y[rest], ours[False][2][0].score(x[rest])):.3f}")
    rows = draws["1.0"][0]
    done = peers(x, y, rows, cost)
    gaps = gaps_of(x[rows], y[rows], cost, ours, done)
    for squared, name in ((False, "probe"), (True, "ridge")):
        wall, core, fits = ours[squared]
        line(f"{name}, ours, {fits[0].passes} passes", wall, core, gaps[name])
        said(wall, limits[squared])
    for name, (wall, core, _) in done.items():
        line(name, wall, core, gaps[name], FOLDS)
    every = [rows for f in FRACTIONS for rows in draws[f]]
    counter.limit(1, 1)
    wall, core, _ = measured(lambda: fit_folds(x, y, every, penalty=PENALTY, squared=False))
    line("probe, ours, 4 fractions x 5 folds", wall, core)
    said(wall, counter.limit(rate, bandwidth))
    some = every if full else [draws[f][0] for f in FRACTIONS]
    theirs = np.zeros(2)
    for rows in tqdm(some, desc="original's method", unit="fold", mininterval=5):
        theirs += measured(partial(descend, x[rows], y[rows], cost=cost))[:2]
    line(f"{ORIGINAL}, 4 x 5", *theirs, "", 1 if full else FOLDS)
    return done[ORIGINAL][0] * FOLDS / ours[False][0], ours[False][0] / sum(limits[False])


def said(wall: float, limit: tuple[float, float]) -> None:
    """Print a limit and how far from it a time is."""
    print(
        f"      limit: products {limit[0]:.2f} s + reads {limit[1]:.2f} s = {sum(limit):.2f} s; "
        f"ours takes {wall / sum(limit):.2f} times that"
    )


def gaps_of(x: np.ndarray, y: np.ndarray, cost: float, ours: dict, done: dict) -> dict[str, float]:
    """Return the gap of every solution to the least objective that any of them has.

    For the norm, newton-cholesky at the C with the same optimum is one of them.
    """
    x = x.astype(np.float64) - x.mean(axis=0, dtype=np.float64)
    values = {}
    for squared, name in ((False, "probe"), (True, "ridge")):
        fit = ours[squared][2][0]
        ends = {name: fit.weights}
        ends |= {key: w for key, (_, _, w) in done.items() if (key != ORIGINAL) == squared}
        if not squared:
            ends["same"] = ridge(x, y, fit.c_effective, "newton-cholesky", tol=1e-10)
        found = {key: objective(w, x, y, cost, squared) for key, w in ends.items()}
        values |= {key: value / min(found.values()) - 1 for key, value in found.items()}
    return values


def drawn_splits(folder: Path, dataset: str, cells: pd.DataFrame) -> dict[str, list[Path]]:
    """Write the splits of a dataset; return their files per scheme."""
    schemes = {"random": ("random", FRACTIONS)}
    if dataset == "midog2022":
        schemes |= {f"from_{domain}": ("from_domain", ["1.0"]) for domain in DOMAINS}
    files: dict[str, list[Path]] = {}
    for scheme, (card, fractions) in schemes.items():
        for fraction in fractions:
            for fold in range(FOLDS):
                how = {"scheme": scheme, "fraction": fraction, "fold": fold}
                split = draw_split(cells, load_card(ROOT / "config", "schemes", card), **how)
                path = folder / dataset / scheme / f"fraction={fraction}" / f"fold={fold}.csv"
                path.parent.mkdir(parents=True, exist_ok=True)
                split.roles.to_csv(path, index=False)
                path.with_suffix(".json").write_text(
                    json.dumps({"drawn": split.drawn}), encoding="utf-8"
                )
                files.setdefault(scheme, []).append(path)
    return files


def store_of(path: Path, x: np.ndarray, cells: Path) -> None:
    """Write an embedding store."""
    about = {"format": EMBEDDINGS, "version": VERSION, "recipe": 1, "model": "m", "view": "v"}
    about |= {"weights_sha256": "", "patches_sha256": "", "cells_sha256": sha256(cells)}
    with h5py.File(path, "w") as file:
        file["embedding"], file["id"] = x, np.arange(len(x))
    finalise_store(path, "embedding", about | {"card": json.dumps({"dim": x.shape[1]})})


def run_jobs(jobs: list[list[str]], workers: int) -> tuple[float, float]:
    """Run probe jobs as `snakemake --cores N` does: N at once, one thread each.

    Returns wall and core-seconds, the start of Python and its imports included.
    """
    script = ROOT / "workflow" / "scripts" / "probe.py"
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    place = os.environ | threads | {"PYTHONPATH": str(ROOT / "workflow")}

    def run(job: list[str]) -> None:
        subprocess.run([sys.executable, script, *job], env=place, check=True, capture_output=True)

    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(run, jobs))
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    core = sum(getattr(after, n) - getattr(before, n) for n in ("ru_utime", "ru_stime"))
    return wall, core


def study(folder: Path, shrink: float, workers: int) -> None:
    """Print part (b)."""
    print(f"\n(b) the whole study, from HDF5 to prediction files, {workers} jobs at once")
    card = without_notes(load_card(ROOT / "config", "heads", "linear_probe"))
    total, probes = np.zeros(2), 0
    for number, width in enumerate(tqdm(WIDTHS, desc="models", unit="model", mininterval=5)):
        jobs = []
        for dataset in CELLS:
            cells, store = folder / f"{dataset}.csv", folder / f"{dataset}.h5"
            table, x = invented_cells(int(CELLS[dataset] * shrink), width, seed=number)
            table.to_csv(cells, index=False)
            store_of(store, x, cells)
            del x
            for files in drawn_splits(folder / "splits", dataset, table).values():
                out = [folder / "out" / path.relative_to(folder / "splits") for path in files]
                said = {"embeddings": [store], "cells": [cells], "splits": files}
                said |= {"predictions": out, "card": [card], "model": ["m"], "view": ["v"]}
                jobs.append([str(w) for name, v in said.items() for w in (f"--{name}", *v)])
                probes += len(files)
        taken = np.array(run_jobs(sorted(jobs, key=len, reverse=True), workers))
        line(f"model {number + 1}, {width} features", *taken)
        total += taken
    line(f"{probes} probes", *total)


def invented_cells(count: int, width: int, seed: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Return a table of cells and their features."""
    x, y = invented(count, width, seed)
    domain = np.random.default_rng(0).choice(list(DOMAINS), count, p=list(DOMAINS.values()))
    table = pd.DataFrame({"id": np.arange(count), "label": y, "domain": domain, "slide": "s"})
    return table.assign(image="a.tiff", x=0.0, y=0.0), x


def curve(out: Path, x: np.ndarray, y: np.ndarray) -> None:
    """Draw part (c)."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(5, 3.6), layout="constrained")
    counts = [n for n in (12, 46, 131, 465, 1315, 4661, 13153, 46620) if n < len(x)]
    for width in [w for w in (384, 768, 1536) if w <= x.shape[1]]:
        part, times = np.ascontiguousarray(x[:, :width]), []
        for count in counts:
            trains = [np.random.default_rng(f).permutation(len(x))[:count] for f in range(FOLDS)]
            trains = [rows for rows in trains if len(set(y[rows])) == 2]
            wall = fastest(lambda: fit_folds(part, y, trains, penalty=PENALTY, squared=False), 2)  # noqa: B023
            times.append(wall / len(trains))
        axes.loglog(counts, times, "o-", label=f"{width} features")
        print(
            f"  {width} features: "
            + ", ".join(f"{n:,} rows {t:.3f} s" for n, t in zip(counts, times, strict=True))
        )
    axes.set(xlabel="training cells", ylabel="seconds a fold, five together", title="probe")
    axes.legend(frameon=False)
    out.mkdir(parents=True, exist_ok=True)
    figure.savefig(out / "probe_cost.png", dpi=150)
    print(f"(c) {out / 'probe_cost.png'}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path())
    parser.add_argument("--parts", default="abc")
    parser.add_argument("--width", type=int, default=1536)
    parser.add_argument("--cells", type=int, default=CELLS["ccmct"])
    parser.add_argument("--shrink", type=float, default=1.0, help="share of the cells in (b)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="jobs of (b)")
    parser.add_argument("--full", action="store_true", help="the original's method on every fold")
    given = parser.parse_args()
    if "c" in given.parts:
        curve(given.out, *invented(given.cells, given.width))
    if "b" in given.parts:
        with tempfile.TemporaryDirectory() as place:
            study(Path(place), given.shrink, given.workers)
    if "a" in given.parts:
        original, limit = cell(given.cells, given.width, given.full)
        print(f"{original:.1f} times as fast as the original's method, {limit:.2f} times the limit")
