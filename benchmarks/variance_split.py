"""Coverage of the intervals of the variance split: simulated studies with planted effects, and none.

Simulates the AUROCs of parts: five folds of the scanners and domains of MIDOG++, or of three
scanners crossed with four domains, twelve slides each. Slides, scanners, domains and folds have
normal effects; half of a slide's effect is that of all folds.

    python benchmarks/variance_split.py --data ../shared/data --studies 300
"""

import argparse
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "workflow")]

from tests.evaluation.statistics.planted_parts import CROSSED, SD, SLIDES, parts_of, simulate

from cryotome.core.cards import load_card
from cryotome.data.cells import read_cells
from cryotome.data.domains import assign_scanners

FOLDS = 5
WORLDS: dict[str, dict[str, float]] = {  # SDs of AUROC
    "none": {},
    "scanner": {"scanner": 0.04},
    "domain": {"domain": 0.04},
    "all": {"scanner": 0.04, "domain": 0.04, "fold": 0.02},
}


def pairs_of_midogpp(data: Path) -> list[tuple[str, str]]:
    """Return each scanner of MIDOG++ with each domain that it has."""
    card = load_card(ROOT / "config", "datasets", "midogpp")
    cells = read_cells(data / card["annotations"], data, card, "midogpp")
    pairs = set(zip(assign_scanners(cells, card), cells["domain"], strict=True))
    return sorted(pair for pair in pairs if pair[0])


def main(data: Path, studies: int) -> None:
    """Print a line for every design and world: coverage and mean SD of each component."""
    for design, pairs in (("MIDOG++", pairs_of_midogpp(data)), ("crossed", CROSSED)):
        parts = parts_of(pairs, FOLDS)
        for world, planted in WORLDS.items():
            found = [simulate(parts, planted, seed) for seed in range(studies)]
            said = []
            for name in found[0]:
                truth = SD**2 / SLIDES if name == "slide" else planted.get(name, 0.0) ** 2
                held = np.mean([one[name].low <= truth <= one[name].high for one in found])
                mean = np.mean([one[name].variance for one in found])
                said.append(f"{name} {held:.3f} ({mean**0.5:.4f} of {truth**0.5:.4f})")
            print(f"| {design}, {world} | {' | '.join(said)} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--studies", type=int, default=300)
    args = parser.parse_args()
    main(args.data, args.studies)
