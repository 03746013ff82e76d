"""Do our intervals cover, and do our tests reject, as often as they say?

Simulates studies on the real slide sizes of MIDOG 2022 and CCMCT: slides are drawn from the
table of (mitotic figures, look-alikes) per slide, within their domain; every slide shifts the
scores of its cells, and shifts them for each row in its own way. Folds are five random fifths
of the cells, or five parts of the slides; tested are all cells of a fold together, or one
domain at a time. The truth is the mean over the simulated studies.

Coverage of the 95 % intervals (clustered, bootstrap over slides, DeLong), rejections at 5 %
with two equal rows and with a planted difference, with and without slide effects.

    python benchmarks/calibration.py --data ../shared/data --out config/calibration.csv

`config/calibration.csv` is what intervals.csv warns from where slides are few.
"""

import argparse
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import norm
from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow"))

from cryotome.evaluation.statistics.clustered_auroc import (
    auroc_interval,
    effective_number,
    influence,
)
from cryotome.evaluation.statistics.fold_tests import corrected_t, quantiles, t_test
from cryotome.evaluation.statistics.slide_pairs import bootstrap_auroc, count_wins, resample_slides

FOLDS, TEST, RATIO = 5, 0.2, 0.2 / 0.64
PLANTED = 0.03  # difference of AUROC that the tests are to find, stated before
EFFECTS = {"none": (0.0, 0.0), "slides": (0.6, 0.2)}  # SD shared by the rows, and of each row
INTERVALS = ["the clustered interval", "the slide bootstrap", "DeLong"]


@dataclass(frozen=True)
class Design:
    """A kind of study: whose slides, which folds, what is tested, and what is planted."""

    dataset: str
    folds: str = "random"
    tested: str = "all"
    slide_effects: str = "slides"
    planted: float = 0.0


DESIGNS = [
    *(Design(d, slide_effects=e) for d in ("midog2022", "ccmct") for e in EFFECTS),
    *(Design(d, planted=PLANTED) for d in ("midog2022", "ccmct")),
    *(Design(d, folds="grouped") for d in ("midog2022", "ccmct")),
    Design("midog2022", tested="domains"),
    Design("midog2022", folds="grouped", tested="domains"),
]


def draw_study(slides: pd.DataFrame, design: Design, rng: np.random.Generator) -> tuple:
    """Draw the cells of a study of two rows: slide, domain, label (n,), scores (2, n)."""
    drawn = slides.groupby("domain").sample(frac=1, replace=True, random_state=rng)
    sizes, count = drawn[["up", "down"]].to_numpy(), len(drawn)
    slide = np.repeat(np.arange(count), sizes.sum(axis=1))
    label = np.concatenate([np.r_[np.ones(up, int), np.zeros(down, int)] for up, down in sizes])
    shared, own = EFFECTS[design.slide_effects]
    common = rng.normal(scale=shared, size=count)[slide]
    common = common + rng.normal(scale=np.sqrt(0.7), size=len(slide))  # what both find hard
    scores = []
    for auroc in (0.80, 0.80 - design.planted):
        apart = norm.ppf(auroc) * np.sqrt(2 * (1 + shared**2 + own**2))
        noise = rng.normal(scale=np.sqrt(0.3 * 0.9), size=len(slide))
        scores.append(apart * label + common + rng.normal(scale=own, size=count)[slide] + noise)
    return slide, drawn["domain"].to_numpy()[slide], label, np.array(scores)


def draw_folds(slide: np.ndarray, design: Design, rng: np.random.Generator) -> list[np.ndarray]:
    """Return the test cells of each fold."""
    if design.folds == "random":
        return [rng.permutation(len(slide))[: int(TEST * len(slide))] for _ in range(FOLDS)]
    sizes, loads = np.bincount(slide), np.zeros(FOLDS)
    part = np.zeros(len(sizes), int)
    for one in np.argsort(-sizes + rng.uniform(size=len(sizes))):  # the largest first
        part[one] = loads.argmin()
        loads[part[one]] += sizes[one]
    return [np.flatnonzero(part[slide] == k) for k in range(FOLDS)]


def judge(slides: pd.DataFrame, design: Design, seed: int) -> dict[str, float]:
    """Simulate one study; return its AUROC, its intervals, and what rejected."""
    rng = np.random.default_rng([2026, seed])
    slide, domain, label, scores = draw_study(slides, design, rng)
    parts = draw_folds(slide, design, rng)
    # each fold is a training of its own: noise that no other fold shares
    noise = rng.normal(scale=np.sqrt(0.3 * 0.1), size=(2, FOLDS, len(slide)))
    tests = [(k, cells) for k, cells in enumerate(parts)]
    if design.tested == "domains":
        tests = [(k, c[domain[c] == d]) for k, c in tests for d in np.unique(domain[c])]
    of_part = [[scores[r][c] + noise[r, k, c] for k, c in tests] for r in (0, 1)]
    cells, labels, count = [slide[c] for _, c in tests], [label[c] for _, c in tests], len(slides)
    one, other = (influence(cells, labels, s, count) for s in of_part)
    patches = influence([c for _, c in tests], labels, of_part[0], len(slide))
    names = np.sort(np.arange(count).astype(str))
    counts = resample_slides(count, draws=1000, seed=seed)
    wins = [[count_wins(*f) for f in zip(cells, labels, s, strict=True)] for s in of_part]
    draws = [bootstrap_auroc(row, names, [counts]) for row in wins]
    gap, spread = one.minus(other), float(np.nanstd(draws[0] - draws[1]))
    apart = [a.auroc - b.auroc for a, b in zip(*wins, strict=True)]
    folds = pd.Series(apart).groupby([k for k, _ in tests]).mean().to_numpy()
    reaches = [
        auroc_interval(one.auroc, one.error, freedom=one.freedom),
        quantiles(draws[0]),
        auroc_interval(one.auroc, patches.error, freedom=np.inf),
    ]
    found = {"auroc": one.auroc}
    for name, (low, high) in zip(INTERVALS, reaches, strict=True):
        found |= {f"{name} low": low, f"{name} high": high}
    return found | {
        "rejected by the paired slide bootstrap": t_test(gap.auroc, spread, gap.freedom) < 0.05,
        "rejected by the paired clustered t": t_test(gap.auroc, gap.error, gap.freedom) < 0.05,
        "rejected by the corrected resampled t": corrected_t(folds, RATIO)[1] < 0.05,
    }


def shares(found: pd.DataFrame) -> dict[str, float]:
    """Return how often each interval held the truth, and each test rejected."""
    truth, known = found["auroc"].mean(), found["the clustered interval low"].notna()
    held = {
        f"covered by {name}": found[known][f"{name} low"].le(truth)
        & found[known][f"{name} high"].ge(truth)
        for name in INTERVALS
    }
    held["no interval: a fold has one slide of a label"] = ~known
    tests = {name: found[known][name] for name in found if str(name).startswith("rejected")}
    return {str(name): float(values.mean()) for name, values in (held | tests).items()}


def slide_sizes(data: Path) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the name and domain, positives, negatives of each slide of both datasets."""
    midog = pd.read_csv(data / "midogpp" / "midog2022_per_slide.csv")
    columns = {"tumortype": "domain", "mf": "up", "lookalike": "down"}
    yield "midog2022", midog.rename(columns=columns)[["domain", "up", "down"]]
    ccmct = pd.read_csv(data / "ccmct_per_slide.csv").rename(columns={"mfO": "up", "laO": "down"})
    yield "ccmct", ccmct[["up", "down"]].assign(domain="mast cell")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the slide tables")
    parser.add_argument("--studies", type=int, default=400)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    sizes, lines = dict(slide_sizes(args.data)), []
    for design in DESIGNS:
        slides = sizes[design.dataset]
        effective = min(effective_number(slides[side].to_numpy()) for side in ("up", "down"))
        with ProcessPoolExecutor() as pool:
            work = pool.map(partial(judge, slides, design), range(args.studies), chunksize=10)
            bar = tqdm(work, total=args.studies, desc=str(design), mininterval=5)
            found = shares(pd.DataFrame(bar))
        for what, share in found.items():
            margin = 1.96 * np.sqrt(share * (1 - share) / args.studies)
            place = {"slides": len(slides), "effective_slides": round(effective, 2)}
            told = {"what": what, "share": share, "monte_carlo": margin, "studies": args.studies}
            lines.append(vars(design) | place | told)
    table = pd.DataFrame(lines)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(args.out, index=False, float_format="%.4g")
    print(table.to_string(index=False, float_format=lambda v: f"{v:.3f}"))


if __name__ == "__main__":
    main()
