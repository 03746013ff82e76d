"""Coverage of the intervals of robustness: simulated studies with planted effects, and with none.

python benchmarks/robustness.py --studies 200

Each study invents 24 slides of two domains, ten cells each, whose embeddings hold the class, the
domain and a signature of the slide in planted shares. What an interval should cover is the mean of
the index over all simulated studies of its kind. Of each index it says how often that was covered,
in brackets the mean of the index, and its intervals' mean width over that of 95 % of the studies.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "workflow")]

from tests.evaluation.robustness.planted import planted

from cryotome.evaluation.robustness.indices import measure_indices
from cryotome.evaluation.robustness.sample import sample_cells
from cryotome.evaluation.statistics.fold_tests import quantiles
from cryotome.evaluation.statistics.slide_pairs import resample_slides

WORLDS = {
    "nothing planted": {"of_class": 0.0, "of_confounder": 0.0},
    "class": {"of_class": 1.0, "of_confounder": 0.0},
    "domain": {"of_class": 0.0, "of_confounder": 1.0},
    "class, domain and slide": {"of_class": 1.0, "of_confounder": 1.0, "of_slide": 0.5},
}
NEIGHBOURS, DRAWS = 3, 200
REACH = 1.96  # SDs that 95 % of a normal distribution take to either side


def study(seed: int, confounder: str, world: dict[str, float]) -> dict[str, tuple[float, ...]]:
    """Return value, low and high of each index in one simulated study."""
    cells, x = planted(**world, slides=24, cells=10, seed=seed)
    table, _ = sample_cells(cells, {}, confounder, neighbours=NEIGHBOURS, most=10**6)
    counts = resample_slides(table["slide"].nunique(), draws=DRAWS, seed=0)
    found = measure_indices(x[table.index], table, counts, neighbours=NEIGHBOURS)
    return {name: (index.value, *quantiles(index.draws)) for name, index in found.items()}


def main(studies: int) -> None:
    """Print a line for every world and confounder: coverage, mean and width of each index."""
    for name, world in WORLDS.items():
        for confounder in ("domain", "slide"):
            found = [study(seed, confounder, world) for seed in range(studies)]
            said = []
            for index in found[0]:
                value, low, high = np.array([one[index] for one in found]).T
                covered = np.mean((low <= value.mean()) & (value.mean() <= high))
                wide = (high - low).mean() / (2 * REACH * value.std(ddof=1))
                said.append(f"{covered:.3f} ({value.mean():.3f}), {wide:.2f}")
            print(f"| {name}, {confounder} | {' | '.join(said)} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=200)
    main(parser.parse_args().studies)
