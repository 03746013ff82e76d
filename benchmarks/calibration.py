"""Do our intervals cover, and do our tests reject, as often as they say?

Simulates studies on the real slide sizes of MIDOG 2022 and CCMCT: slides are drawn from the
table of (mitotic figures, look-alikes) per slide, every slide shifts the scores of its cells,
and shifts them for each row in its own way; five folds test a fifth of the cells each. The
truth is the AUROC of the population of slides, computed, not simulated.

Coverage of the 95 % intervals (clustered, bootstrap over slides, DeLong), rejections at 5 %
with two equal rows and with a planted difference, with and without slide effects.

    python benchmarks/calibration.py --data ../shared/data --out config/calibration.csv

`config/calibration.csv` is what intervals.csv warns from where slides are few.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import norm
from tqdm import tqdm

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "workflow"))

from cryotome.pairs import count_wins, draw_slides, resample  # noqa: E402
from cryotome.statistics import (  # noqa: E402
    corrected_t,
    effective_number,
    influence,
    interval,
    quantiles,
    t_test,
)

FOLDS, TEST, RATIO = 5, 0.2, 0.2 / 0.64
PLANTED = 0.03  # difference of AUROC that the tests are to find, stated before
EFFECTS = {"none": (0.0, 0.0), "slides": (0.6, 0.2)}  # SD shared by the rows, and of each row


@dataclass(frozen=True)
class World:
    """Slides of (positives, negatives), and what they do to scores whose noise has SD 1."""

    sizes: np.ndarray
    shared: float
    own: float

    def separation(self, auroc: float) -> float:
        """Return the distance of the classes, SDs of noise, that gives an AUROC over slides."""
        return float(norm.ppf(auroc) * np.sqrt(2 * (1 + self.shared**2 + self.own**2)))

    def truth(self, separation: float, slides: int) -> float:
        """Return the expected AUROC, its pairs within slides included."""
        between = norm.cdf(separation / np.sqrt(2 * (1 + self.shared**2 + self.own**2)))
        within = norm.cdf(separation / np.sqrt(2))
        up, down = self.sizes.mean(axis=0)
        apart = slides * (slides - 1) * up * down
        same = slides * self.sizes.prod(axis=1).mean()
        return float((apart * between + same * within) / (apart + same))


def draw_study(world: World, aurocs: list[float], rng: np.random.Generator) -> tuple:
    """Draw the cells of a study and the scores of its rows: slide, label, scores (rows, n)."""
    sizes = world.sizes[rng.integers(len(world.sizes), size=len(world.sizes))]
    slide = np.repeat(np.arange(len(sizes)), sizes.sum(axis=1))
    label = np.concatenate([np.r_[np.ones(up, int), np.zeros(down, int)] for up, down in sizes])
    shift = rng.normal(scale=world.shared, size=len(sizes))[slide]
    cell = rng.normal(scale=np.sqrt(0.7), size=len(slide))  # what rows find hard alike
    scores = [
        world.separation(auroc) * label
        + shift
        + rng.normal(scale=world.own, size=len(sizes))[slide]
        + cell
        + rng.normal(scale=np.sqrt(0.3 * 0.9), size=len(slide))
        for auroc in aurocs
    ]
    return slide, label, np.array(scores)


def judge(world: World, planted: float, rng: np.random.Generator) -> dict[str, float]:
    """Simulate one study of two rows; say what covered and what rejected."""
    aurocs = [0.80, 0.80 - planted]
    slide, label, scores = draw_study(world, aurocs, rng)
    count = len(world.sizes)
    tests = [rng.permutation(len(slide))[: int(TEST * len(slide))] for _ in range(FOLDS)]
    # each fold is a training of its own: noise that no other fold shares
    noise = rng.normal(scale=np.sqrt(0.3 * 0.1), size=(2, FOLDS, len(slide)))
    of_fold = [[scores[r][t] + noise[r, k, t] for k, t in enumerate(tests)] for r in (0, 1)]
    cells, labels = [slide[t] for t in tests], [label[t] for t in tests]
    one, other = (influence(cells, labels, s, count) for s in of_fold)
    patches = influence(tests, labels, of_fold[0], len(slide))
    counts = draw_slides(count, draws=1000, seed=int(rng.integers(2**31)))
    names = np.sort(np.arange(count).astype(str))
    wins = [[count_wins(*f) for f in zip(cells, labels, s, strict=True)] for s in of_fold]
    draws = [resample(parts, names, counts) for parts in wins]
    spread = float(np.nanstd(draws[0] - draws[1]))
    truth = world.truth(world.separation(aurocs[0]), count)
    gap = one.minus(other)
    tested = np.unique(np.concatenate(tests))
    freedom = (
        min(effective_number(np.bincount(slide[tested][label[tested] == side])) for side in (0, 1))
        - 1
    )
    folds = np.array([a.auroc - b.auroc for a, b in zip(*wins, strict=True)])

    def covers(low: float, high: float) -> bool:
        return low <= truth <= high

    return {
        "covered by the clustered interval": covers(
            *interval(one.auroc, one.error, freedom=freedom)
        ),
        "covered by the slide bootstrap": covers(*quantiles(draws[0])),
        "covered by DeLong": covers(*interval(one.auroc, patches.error, freedom=np.inf)),
        "rejected by the paired slide bootstrap": t_test(gap.auroc, spread, freedom) < 0.05,
        "rejected by the paired clustered t": t_test(gap.auroc, gap.error, freedom) < 0.05,
        "rejected by the corrected resampled t": corrected_t(folds, RATIO)[1] < 0.05,
    }


def slide_sizes(data: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the name and the (positives, negatives) per slide of both datasets."""
    midog = pd.read_csv(data / "midogpp" / "midog2022_per_slide.csv")
    yield "midog2022", midog[["mf", "lookalike"]].to_numpy()
    yield "ccmct", pd.read_csv(data / "ccmct_per_slide.csv")[["mfO", "laO"]].to_numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the slide tables")
    parser.add_argument("--studies", type=int, default=400)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    lines = []
    for dataset, sizes in slide_sizes(args.data):
        effective = min(effective_number(sizes[:, side]) for side in (0, 1))
        for effects, (shared, own) in EFFECTS.items():
            for planted in (0.0, PLANTED):
                rng = np.random.default_rng(2026)
                world = World(sizes, shared, own)
                bar = tqdm(
                    range(args.studies), desc=f"{dataset} {effects} {planted}", mininterval=5
                )
                found = pd.DataFrame([judge(world, planted, rng) for _ in bar])
                for what, share in found.mean().items():
                    margin = 1.96 * np.sqrt(share * (1 - share) / len(found))
                    place = (dataset, len(sizes), effective, effects, planted)
                    lines.append((*place, what, share, margin, len(found)))
    names = ["dataset", "slides", "effective_slides", "slide_effects", "planted"]
    names += ["what", "share", "monte_carlo", "studies"]
    table = pd.DataFrame(lines, columns=names)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(args.out, index=False, float_format="%.4g")
    print(table.to_string(index=False, float_format=lambda v: f"{v:.3f}"))


if __name__ == "__main__":
    main()
