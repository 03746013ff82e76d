"""Is a planted miscalibration found, does nothing change where none is, do the intervals cover?

Simulates studies on the real slide sizes of MIDOG 2022 and CCMCT: slides are drawn from the table
of cells per slide, each with an effect of its own. Scores say `temperature` times the true logit
and `shift` more. Maps are fitted on cells of other slides of the same kind, or on 50 cells of the
tested ones, which are then left out, as `recalibrate` does. The truth of an interval is the value
of the same fitted map on 4,000 slides, that of slope and intercept their fit there. Slides keep
their shares of the cells, and have 60 cells on average at most.

    python benchmarks/recalibration.py --data ../shared/data --out recalibration.csv
"""

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import pandas as pd
from calibration import slide_sizes
from scipy.special import expit
from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow"))

from cryotome.core.metrics import calibration_error
from cryotome.evaluation.clinical.recalibrated import BEFORE, measure_parts
from cryotome.evaluation.clinical.recalibration import recalibrate_part
from cryotome.evaluation.clinical.recalibrators import METHODS, Recalibrator, fit_logistic_map

TRUTH, CELLS = 4_000, 60  # slides of the population, cells of a slide on average
VALIDATION, LABELS, DRAWS = 600, 50, 400  # cells that fit, labelled cells of the target, bootstrap
MEASURES = ["brier", "log_loss", "ece"]


@dataclass(frozen=True)
class Design:
    """What is planted: scores say temperature x logit + shift; SD of the slides' effects."""

    dataset: str
    temperature: float
    shift: float
    effect: float = 0.5


DESIGNS = [
    Design(d, *planted) for d in ("midog2022", "ccmct") for planted in ((1.0, 0.0), (2.0, 1.0))
]


def draw_cells(sizes: np.ndarray, design: Design, seed: int, slides: int) -> pd.DataFrame:
    """Draw cells of so many slides: slide, label, score."""
    rng = np.random.default_rng([2026, seed])
    each = rng.choice(sizes, slides)
    slide = np.repeat(np.arange(slides), each)
    effect = rng.normal(scale=design.effect, size=slides)[slide]
    true = rng.normal(-0.5, 1.3, size=len(slide)) + effect
    label = (rng.random(len(slide)) < expit(true)).astype(int)
    score = expit(design.temperature * (true - effect) + design.shift)
    return pd.DataFrame({"slide": slide, "label": label, "score": score})


@lru_cache(1)
def population(
    sizes: tuple[int, ...], design: Design
) -> tuple[np.ndarray, np.ndarray, Recalibrator]:
    """Return labels, scores, and slope and intercept of the cells of very many slides."""
    cells = draw_cells(np.array(sizes), design, seed=10**6, slides=TRUTH)
    columns = cells["label"].to_numpy(), cells["score"].to_numpy()
    return *columns, fit_logistic_map(*columns)


def values_of(label: np.ndarray, score: np.ndarray) -> dict[str, float]:
    """Return the measures without intervals."""
    brier, chance = float(((score - label) ** 2).mean()), np.abs(1 - label - score).clip(1e-6)
    loss = float(-np.log(chance).mean())
    return {"brier": brier, "log_loss": loss, "ece": calibration_error(label, score)}


def judge(sizes: tuple[int, ...], design: Design, seed: int) -> dict[str, float]:
    """Simulate one study; return what was fitted, what changed, and which intervals hold."""
    count = len(sizes)
    tested = draw_cells(np.array(sizes), design, 2 * seed, count)
    home = draw_cells(np.array(sizes), design, 2 * seed + 1, count)
    validation = home.sample(VALIDATION, random_state=seed)
    part = recalibrate_part(tested, validation, [0, LABELS], fold=seed, used=0)
    label, said, whole = population(sizes, design)
    measured, before = measure_parts([part], DRAWS), values_of(label, said)
    found = {"truth slope": whole.slope, "truth intercept": whole.intercept}
    for name in MEASURES:
        low, high = measured[BEFORE][name].interval
        found[f"none 0 {name} value"] = low <= before[name] <= high
    for key in ((method, n) for method in METHODS for n in (0, LABELS)):
        fitted, place = part.maps[key], f"{key[0]} {key[1]}"
        after = values_of(label, fitted.apply(said))
        found |= {f"{place} slope": fitted.slope, f"{place} intercept": fitted.intercept}
        for name in MEASURES:
            change = measured[key][name].change_from(measured[BEFORE][name])
            truth, (low, high) = after[name] - before[name], measured[key][name].interval
            found[f"{place} {name} value"] = low <= after[name] <= high
            found[f"{place} {name} change"] = change["change_low"] <= truth <= change["change_high"]
            found[f"{place} {name} by"] = change["change"]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the slide tables")
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    sizes, tables = {}, []
    for name, table in slide_sizes(args.data):
        cells = table[["up", "down"]].sum(axis=1)
        scaled = (cells * min(1, CELLS / cells.mean())).clip(lower=1).astype(int)
        sizes[name] = tuple(scaled)
    for design in DESIGNS:
        with ProcessPoolExecutor() as pool:
            work = pool.map(
                partial(judge, sizes[design.dataset], design), range(args.studies), chunksize=10
            )
            found = pd.DataFrame(tqdm(work, total=args.studies, desc=str(design), mininterval=5))
        told = found.astype(float).agg(["mean", "std"]).T.rename_axis("what").reset_index()
        tables.append(told.assign(**vars(design), studies=args.studies))
    table = pd.concat(tables)
    table.to_csv(args.out, index=False, float_format="%.4g")
    print(table.to_string(index=False, float_format=lambda v: f"{v:.3f}"))


if __name__ == "__main__":
    main()
