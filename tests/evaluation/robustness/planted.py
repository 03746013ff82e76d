"""Cells of invented slides whose embeddings have a planted share of class and of confounder."""

import numpy as np
import pandas as pd


def planted(
    *, of_class: float, of_confounder: float, slides: int = 12, cells: int = 12, seed: int = 0,
    of_slide: float = 0.0, dim: int = 16,
) -> tuple[pd.DataFrame, np.ndarray]:  # fmt: skip
    """Return a table of cells on slides of two domains, and their embeddings (n, dim).

    Parameters
    ----------
    of_class, of_confounder, of_slide
        Length of the step that a class, a domain and a slide make; noise has an SD of 1 an axis.
    """
    rng = np.random.default_rng(seed)
    slide = np.repeat(np.arange(slides), cells)
    label = rng.permutation(np.arange(len(slide)) % 2)
    x = rng.normal(size=(len(slide), dim))
    x[:, 0] += of_class * (2 * label - 1)
    x[:, 1] += of_confounder * (2 * (slide % 2) - 1)
    x += of_slide * rng.normal(size=(slides, dim))[slide]
    names = [f"s{n:02d}" for n in slide]
    domains = np.where(slide % 2, "lung", "breast")
    table = pd.DataFrame({"id": range(len(slide)), "image": names, "slide": names})
    return table.assign(domain=domains, label=label), x.astype(np.float32)
