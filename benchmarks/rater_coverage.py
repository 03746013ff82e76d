"""How often do the 95 % intervals of raters.csv hold the truth?

Simulates raters on the slide sizes of AMi-Br: the share of raters who would call a cell follows
a beta distribution with the mean and the agreement of AMi-Br's votes, and each slide shifts its
logit by an SD of 0.5. Three raters vote. A row calls by a noisy share ("planted") or at random
("none": its kappa is 0). The truth is the same measure on 500 such cohorts together. Slides are
all 202, or 20 of them.

    python benchmarks/rater_coverage.py --data DATA --out results/rater_coverage.csv
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import expit, logit

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow"))

from cryotome.evaluation.rater_ceiling import ceilings, share_distribution, vote_moments
from cryotome.evaluation.statistics.fold_tests import quantiles
from cryotome.evaluation.statistics.kappa import cohen_kappa, tables_by_slide
from cryotome.evaluation.statistics.slide_pairs import resample_slides

MEAN, AGREEMENT, SHIFT, NOISE = 0.22, 0.57, 0.5, 0.5  # of shares; SD of logits by slide, of a row
RATERS, DRAWS, TRUTH = 3, 400, 500
MEASURES = ["kappa of a row", "kappa of raters", "ceiling of AUROC"]


@dataclass(frozen=True)
class Design:
    """A kind of cohort: how many slides, and whether the row sees anything."""

    slides: int
    planted: bool


def draw(sizes: np.ndarray, planted: bool, rng: np.random.Generator) -> tuple:
    """Return slide, votes (n, raters) and calls (n,) of one cohort."""
    slide = np.repeat(np.arange(len(sizes)), sizes)
    size = 1 / AGREEMENT - 1
    share = rng.beta(MEAN * size, (1 - MEAN) * size, size=len(slide)).clip(1e-9, 1 - 1e-9)
    level = logit(share) + rng.normal(0, SHIFT, len(sizes))[slide]
    votes = (rng.random((len(slide), RATERS)) < expit(level)[:, None]).astype(int)
    seen = level + rng.normal(0, NOISE, len(slide)) > 0
    return slide, votes, (seen if planted else rng.random(len(slide)) < MEAN).astype(int)


def by_slide(cohort: tuple, slides: int) -> np.ndarray:
    """Return what each slide adds, (slides, 11): two tables of calls, and moments of votes."""
    slide, votes, calls = cohort
    pairs = ((calls, votes[:, 0]), (votes[:, 0], votes[:, 1]))
    parts = [part for pair in pairs for part in tables_by_slide(slide, *pair, slides)]
    return np.column_stack([*parts, vote_moments(slide, votes, slides)])


def measures(sums: np.ndarray) -> dict[str, np.ndarray]:
    """Return each measure from sums over slides, (draws,)."""
    best = ceilings(share_distribution(sums[:, 8:]), RATERS)["auroc"]
    values = cohen_kappa(*sums[:, :4].T), cohen_kappa(*sums[:, 4:8].T), best
    return dict(zip(MEASURES, values, strict=True))


def simulate(design: Design, sizes: np.ndarray, studies: int) -> Iterator[dict]:
    """Yield a line per measure: how often its interval holds the truth, and its mean width."""
    rng = np.random.default_rng([design.slides, design.planted])

    def cohort() -> np.ndarray:
        own = rng.choice(sizes, design.slides)
        return by_slide(draw(own, design.planted, rng), design.slides)

    truth = measures(sum(cohort().sum(axis=0) for _ in range(TRUTH))[None])
    held, width = dict.fromkeys(MEASURES, 0), dict.fromkeys(MEASURES, 0.0)
    for seed in range(studies):
        weights = resample_slides(design.slides, draws=DRAWS, seed=seed)
        for name, values in measures(weights @ cohort()).items():
            low, high = quantiles(values)
            held[name] += low <= truth[name][0] <= high
            width[name] += high - low
    for name in MEASURES:
        about = {"slides": design.slides, "planted": design.planted, "measure": name}
        about |= {"truth": truth[name][0], "share": held[name] / studies}
        yield about | {"mean_width": width[name] / studies, "studies": studies}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--studies", type=int, default=200)
    args = parser.parse_args()
    table = pd.read_csv(args.data / "amibr" / "AMI-BR.csv")
    sizes = table.groupby(["dataset", "slide"]).size().to_numpy()
    designs = [Design(slides, planted) for slides in (len(sizes), 20) for planted in (True, False)]
    lines = [line for design in designs for line in simulate(design, sizes, args.studies)]
    found = pd.DataFrame(lines)
    found.to_csv(args.out, index=False)
    print(found.round(3).to_string(index=False))


if __name__ == "__main__":
    main()
