"""Tables of robustness: each index of each model beside what its rows lose out of domain."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from cryotome.core.cards import Card
from cryotome.evaluation.robustness.indices import Index, measure_indices, one_hot
from cryotome.evaluation.robustness.probe_sweep import measure_nipd
from cryotome.evaluation.robustness.sample import SEED, sample_cells
from cryotome.evaluation.statistics.fold_tests import quantiles
from cryotome.evaluation.statistics.paired_scores import Setting
from cryotome.evaluation.statistics.rows import Rows
from cryotome.evaluation.statistics.slide_pairs import resample_slides
from cryotome.study.robustness import RobustnessFacts

NEIGHBOURS, NIPD = ["RI", "MaRI", "CRoMa", "CRoMa tail"], "nIPD"
INDICES = [*NEIGHBOURS, NIPD]
BLOCK = ["dataset", "confounder", "index", "head"]
COLUMNS = [*BLOCK, "model", "value", "low", "high", "chance", "support", "n", "slides"]
COLUMNS += ["sampled", "seed", "loss", "loss_low", "loss_high", "note"]
CORRELATED = [*BLOCK, "models", "spearman", "low", "high", "note"]
MIN_MODELS = 4  # of a rank correlation
Store = tuple[str, str, np.ndarray, np.ndarray]  # dataset, model, embeddings (n, dim), ids (n,)
Found = tuple[Card, dict[str, Index]]  # what a line says of its cells; its indices by name


def out_of_domain_losses(
    settings: dict[Setting, Rows], slides: dict[str, np.ndarray], draws: int
) -> dict[tuple[str, str], Index]:
    """Return the AUROC in domain less that out of domain, trained on each single domain.

    Parameters
    ----------
    slides
        Dataset to all its slides: the draws are over these, sorted.

    Returns
    -------
    dataset and row to the loss and its draws
    """
    found = {}
    for (dataset, scheme, fraction, tested), inside in settings.items():
        if (scheme, tested) != ("from_*", "in"):
            continue
        both = (inside, settings[dataset, scheme, fraction, "out"])
        how: dict[str, Any] = {"slides": np.unique(slides[dataset]), "draws": draws}
        for row in inside.scores.rows:
            value, less = (each.influences[row].auroc for each in both)
            drawn, outside = (each.scores.bootstrap(row, **how) for each in both)
            found[dataset, row] = Index(value - less, drawn - outside)
    return found


def measure_stores(
    stores: Iterable[Store], tables: dict[str, pd.DataFrame], how: RobustnessFacts, draws: int
) -> Iterator[Found]:
    """Measure every store against every confounder.

    Parameters
    ----------
    tables
        Dataset to its cells.
    """
    for dataset, model, x, ids in stores:
        cells = tables[dataset].set_index("id").loc[ids].reset_index()
        slides = np.unique(cells["slide"].astype(str))
        counts = resample_slides(len(slides), draws=draws, seed=SEED)
        for confounder in how.confounders:
            manifest, whole = sample_cells(
                cells, how.cards[dataset], confounder, neighbours=how.neighbours, most=how.max_cells
            )
            kept = np.isin(slides, manifest["slide"].astype(str))
            identity = model in how.identities
            own = one_hot(manifest["confounder"]) if identity else x[manifest.index]
            about: Card = {"dataset": dataset, "confounder": confounder, "model": model}
            about |= {"n": len(manifest), "slides": int(kept.sum()), "seed": SEED}
            about["sampled"] = len(manifest) < whole
            notes, found = _measure(own, manifest, counts[:, kept], how.neighbours)
            known = not (identity or manifest.empty)
            about["chance"] = _chance(own, manifest, how.neighbours) if known else {}
            yield about | notes, found


def _measure(x: np.ndarray, manifest: pd.DataFrame, counts: np.ndarray, k: int) -> Found:
    """Measure one store against one confounder; what is not defined has a note by index."""
    undefined = Index(float("nan"), np.full(len(counts), np.nan), 0.0)
    if manifest.empty:
        few = "too few cells of both classes"
        return {"note": dict.fromkeys(INDICES, few)}, dict.fromkeys(INDICES, undefined)
    near, why = _defined(lambda: measure_indices(x, manifest, counts, neighbours=k))
    area, lost = _defined(lambda: {NIPD: Index(measure_nipd(x, manifest), undefined.draws)})
    notes = dict.fromkeys(NEIGHBOURS, why) | {NIPD: lost}
    return {"note": notes}, dict.fromkeys(INDICES, undefined) | near | area


def _chance(x: np.ndarray, manifest: pd.DataFrame, k: int) -> dict[str, float]:
    """Return the indices of the embeddings dealt to the cells at random."""
    dealt = x[np.random.default_rng(SEED).permutation(len(x))]
    once = np.ones((1, manifest["slide"].nunique()))
    found, _ = _defined(lambda: measure_indices(dealt, manifest, once, neighbours=k))
    return {name: index.value for name, index in found.items()}


def _defined(measure: Callable[[], dict[str, Index]]) -> tuple[dict[str, Index], str]:
    """Return what is measured; or nothing, and in croma's words why it is not defined."""
    try:
        return measure(), ""
    except (RuntimeError, ValueError) as error:
        return {}, str(error)


def robustness_table(
    measured: list[Found], losses: dict[tuple[str, str], Index], how: RobustnessFacts
) -> pd.DataFrame:
    """Return a line for every dataset, confounder, index, head and model, with `COLUMNS`."""
    lines = []
    for about, found in measured:
        for name, index in found.items():
            low, high = _interval(index.draws)
            line = about | {"index": name, "value": index.value, "low": low, "high": high}
            line |= {"chance": about["chance"].get(name), "support": index.support}
            line["note"] = about["note"][name]
            for head in how.heads[about["model"]]:
                loss = losses.get((about["dataset"], f"{about['model']} + {head}"))
                ends = _interval(loss.draws) if loss else (None, None)
                line |= {"head": head, "loss": loss.value if loss else None}
                lines.append(line | dict(zip(("loss_low", "loss_high"), ends, strict=True)))
    table = pd.DataFrame(lines, columns=COLUMNS)
    order = table["index"].map(INDICES.index)
    return table.iloc[np.lexsort([order, table["confounder"].map(how.confounders.index)])]


def correlate_with_loss(
    table: pd.DataFrame, measured: list[Found], losses: dict[tuple[str, str], Index]
) -> pd.DataFrame:
    """Correlate each index with the loss over models, by rank, in the same draws of slides.

    Returns
    -------
    data frame with `CORRELATED`; Spearman's coefficient is blank under `MIN_MODELS` models
    """
    keys = ("dataset", "confounder", "model")
    draws = {tuple(about[key] for key in keys): found for about, found in measured}
    lines = []
    for block, part in table.groupby(BLOCK, sort=False):
        dataset, confounder, name, head = map(str, block)
        known = part.dropna(subset=["value", "loss"])
        line = dict(zip(BLOCK, block, strict=True)) | {"models": len(known)}
        if len(known) < MIN_MODELS:
            lines.append(line | {"note": f"under {MIN_MODELS} models"})
            continue
        sides = [known["value"].to_numpy(), known["loss"].to_numpy()]
        drawn = [
            np.array([draws[dataset, confounder, model][name].draws for model in known["model"]]),
            np.array([losses[dataset, f"{model} + {head}"].draws for model in known["model"]]),
        ]
        low, high = _interval(_spearman(*drawn))
        value = _spearman(*(side[:, None] for side in sides))[0]
        lines.append(line | {"spearman": value, "low": low, "high": high, "note": ""})
    return pd.DataFrame(lines, columns=CORRELATED)


def _spearman(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return Spearman's coefficient over the lines of each column, NaN where one is constant."""
    ranks = [rankdata(side, axis=0) for side in (one, other)]
    (a, b) = (side - side.mean(axis=0) for side in ranks)
    with np.errstate(invalid="ignore", divide="ignore"):
        found: np.ndarray = (a * b).sum(axis=0) / np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0))
    return np.where(np.isfinite(one + other).all(axis=0), found, np.nan)


def _interval(draws: np.ndarray) -> tuple[float, float]:
    """Return the 95 % interval of draws; NaN where there are none."""
    return quantiles(draws) if np.isfinite(draws).any() else (float("nan"), float("nan"))
