"""Parts of invented studies: AUROCs with planted effects of scanner, domain and fold."""

import numpy as np
import pandas as pd

from cryotome.evaluation.statistics.slide_pairs import resample_slides
from cryotome.evaluation.statistics.variance_components import Component, split_variance

SLIDES, SD = 12, 0.1  # slides of a scanner and domain, and the SD of what one adds to AUROC
CROSSED = [(scanner, domain) for scanner in "abc" for domain in "wxyz"]
FACTORS = ["scanner", "domain", "fold"]


def parts_of(pairs: list[tuple[str, str]], folds: int = 4) -> pd.DataFrame:
    """Return scanner, domain and fold of every part; folds test the same slides."""
    return pd.DataFrame([(*pair, fold) for fold in range(folds) for pair in pairs], columns=FACTORS)


def simulate(parts: pd.DataFrame, sds: dict[str, float], seed: int) -> dict[str, Component]:
    """Split a study whose factors have effects of these SDs, beside the error of its slides."""
    rng = np.random.default_rng(seed)
    auroc = np.full(len(parts), 0.85)
    for name, sd in sds.items():
        level = pd.factorize(parts[name])[0]
        auroc += sd * rng.normal(size=level.max() + 1)[level]
    pair = pd.factorize(parts["scanner"] + parts["domain"])[0]
    shared = SD * rng.normal(size=(pair.max() + 1, SLIDES)) * np.sqrt(0.5)
    contributions = np.zeros((len(parts), shared.size))
    for part, place in enumerate(pair):  # half of a slide's error is that of all its folds
        error = shared[place] + SD * rng.normal(size=SLIDES) * np.sqrt(0.5)
        auroc[part] += error.mean()
        seen = (error - error.mean()) / SLIDES * np.sqrt(SLIDES / (SLIDES - 1))
        contributions[part, place * SLIDES : (place + 1) * SLIDES] = seen
    counts = resample_slides(shared.size, draws=200, seed=0)
    return split_variance(auroc, contributions, parts[FACTORS], counts)
