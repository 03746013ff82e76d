"""Resolution of patches as a network sees them, beside the resolutions that it was trained at."""

from collections.abc import Iterable

from cryotome.core.cards import Card
from cryotome.study.geometry import geometry_of

FAR = 1.5  # times finer or coarser, from which a resolution is not one that a model was trained at


def nominal_mpp(card: Card) -> float | None:
    """Return about how many µm a patch px of a dataset measures, None where its card has none.

    A number in `patch: resolution` comes first, then a number in `mpp`, then `nominal_mpp`.

    >>> nominal_mpp({"patch": {"resolution": "native"}, "mpp": "roi_2mm2", "nominal_mpp": 0.25})
    0.25
    """
    said = (card.get("patch", {}).get("resolution"), card.get("mpp"), card.get("nominal_mpp"))
    return next((float(value) for value in said if isinstance(value, int | float)), None)


def seen_mpp(model: Card, dataset: Card, view: str) -> float | None:
    """Return µm per px of the image that a network is given, None where none is known.

    >>> seen_mpp({}, {"patch": {"side": 64, "resolution": 0.25}}, "paper-fp32")
    0.25
    >>> seen_mpp({}, {"patch": {"side": 112, "resolution": 0.5}}, "fit-fp32")
    0.25
    """
    mpp = nominal_mpp(dataset)
    shape = geometry_of(model, view, dataset["patch"]["side"])
    side = shape.resize[0] if isinstance(shape.resize, list) else shape.resize
    return mpp and mpp * shape.side / (side or shape.side)


def at_own_resolution(model: Card, dataset: Card, view: str) -> str:
    """Return `yes` where a model sees patches near a resolution that it was trained at, else `no`.

    `unknown` where its card or that of the dataset has no resolution.

    >>> patches = {"patch": {"side": 224, "resolution": 0.25}}
    >>> [at_own_resolution(model, patches, "paper-fp16")
    ...  for model in ({"trained_mpp": [0.5, 1.0]}, {"trained_mpp": [0.5, 0.25]}, {})]
    ['no', 'yes', 'unknown']
    """
    mpp, trained = seen_mpp(model, dataset, view), model.get("trained_mpp")
    if not mpp or not trained:
        return "unknown"
    return "yes" if any(1 / FAR <= mpp / own <= FAR for own in trained) else "no"


def own_resolution(model: Card, datasets: dict[str, Card], views: Iterable[str]) -> str:
    """Return `at_own_resolution` of a model on all datasets, each named where they differ."""
    ways = [(name, view) for name in datasets for view in dict.fromkeys(views)]
    found = {way: at_own_resolution(model, datasets[way[0]], way[1]) for way in ways}
    if len(set(found.values())) == 1:
        return next(iter(found.values()))
    return "; ".join(f"{name} {view.split('-')[0]}: {said}" for (name, view), said in found.items())
