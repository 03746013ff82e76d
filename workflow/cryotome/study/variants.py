"""Cards that need no file: another crop of a dataset, another pooling of a model.

`{dataset}_{n}px` shows n px of the slide around each cell, `{dataset}_{n}px_{m}nm` the same at m nm
per px. `{model}_pool_{pooling}` pools what the same network returns in another way; `_` stands for
the `+` of a pooling's name. `{model}_random` is the same network before any training.
"""

import re
from collections.abc import Sequence

from cryotome.core.cards import Card
from cryotome.core.errors import CardError
from cryotome.core.schemas import validate
from cryotome.study.resolution import nominal_mpp

CROP = re.compile(r"([a-z0-9_]+?)_([0-9]+)px(?:_([0-9]+)nm)?")
POOLED = re.compile(r"([a-z0-9_]+)_pool_(class|mean|centre|class_mean|class_rest)")
# poolings of tokens: in words, and how many times as long as a token their embedding is
TOKENS = {"class": ("class token", 1), "mean": ("mean of tokens", 1)}
TOKENS |= {"centre": ("centre tokens", 1), "mean_before_norm": ("mean of tokens, no norm", 1)}
TOKENS |= {"class+mean": ("class token + mean", 2), "class+rest": ("class token + all others", 2)}
RANDOM = "_random"
NO_POOLING = "none"  # the pooling of what is no network


def crop_of(name: str) -> tuple[str, int, int] | None:
    """Return the dataset, side in px and resolution in nm per px that a crop's name says.

    0 nm per px is the resolution of the dataset's card; other names give None.

    >>> crop_of("midog2022_64px"), crop_of("midog2022_64px_500nm"), crop_of("midog2022")
    (('midog2022', 64, 0), ('midog2022', 64, 500), None)
    """
    found = CROP.fullmatch(name)
    return (found[1], int(found[2]), int(found[3] or 0)) if found else None


def pooling_of(name: str) -> tuple[str, str] | None:
    """Return the model and the pooling that a variant's name says, None for other names.

    >>> pooling_of("uni_pool_class_mean"), pooling_of("uni")
    (('uni', 'class+mean'), None)
    """
    found = POOLED.fullmatch(name)
    return (found[1], found[2].replace("_", "+")) if found else None


def untrained_of(name: str) -> str:
    """Return the model whose network a name says without its weights, empty for other names.

    >>> untrained_of("uni_random"), untrained_of("uni")
    ('uni', '')
    """
    return name.removesuffix(RANDOM) if name.endswith(RANDOM) else ""


def with_random_weights(card: Card, name: str) -> Card:
    """Return the card of a model whose weights are drawn here; `name` is for messages.

    Raises
    ------
    CardError
        It is no network, or its weights are random as it is.
    """
    if not isinstance(card["weights"], dict) or "random" in card["weights"]:
        raise CardError(f"Model {name!r}: the weights of {untrained_of(name)} are not trained.")
    kept = {key: value for key, value in card.items() if key not in ("checkpoint", "published")}
    made = {"weights": {"random": 0}, "licence": "none needed, the weights are made here"}
    made["notes"] = "The same network before any training: what its form alone gives."
    return validate(kept | made | {"title": f"{card['title']} (random weights)"}, "model", name)


def model_of(name: str) -> str:
    """Return the model whose weights a name stands for.

    >>> model_of("uni_pool_class_mean"), model_of("uni")
    ('uni', 'uni')
    """
    return (pooling_of(name) or (name, ""))[0]


def with_crop(card: Card, side: int, name: str) -> Card:
    """Return the card of a dataset with patches of another side, px; `name` is for messages.

    Raises
    ------
    CardError
        The card's own patches have that side, or no patch may have it.
    """
    own = card.get("patch", {}).get("side")
    if own in (side, None):
        why = f"its own patches have {own} px" if own else "it has no patches"
        raise CardError(f"Dataset {name!r}: {why}. Name it without `_{side}px`.")
    title = f"{card['title']}, {side} px"
    return validate(
        card | {"title": title, "patch": card["patch"] | {"side": side}}, "dataset", name
    )


def with_resolution(card: Card, side: int, mpp: float, name: str) -> Card:
    """Return the card of a dataset whose patches show a side, px of its own, in fewer px.

    Parameters
    ----------
    side
        px at the dataset's own resolution: the field of view.
    mpp
        µm per px of the new patches, coarser than its own.
    name
        For messages.

    Raises
    ------
    CardError
        The card has no resolution as a number, its own is not finer, or no patch may be so small.
    """
    own = nominal_mpp(card)
    if own is None or own >= mpp:
        why = "has no µm/px as a number; write `nominal_mpp:`" if own is None else f"has {own:g}"
        raise CardError(f"Dataset {name!r} asks for {mpp:g} µm/px, and its card {why}.")
    patch = card["patch"] | {"side": 2 * round(side * own / mpp / 2), "resolution": mpp}
    title = f"{card['title']}, {side} px at {mpp:g} µm/px"
    return validate({"mpp": own} | card | {"title": title, "patch": patch}, "dataset", name)


def has_network(card: Card) -> bool:
    """Whether a model's embeddings are computed by a network."""
    return "gflops" in card


def returns_tokens(card: Card) -> bool:
    """Whether a model's network returns a class token and one token for each part of the image."""
    return card.get("prefix_tokens", 0) > 0 and card.get("pooling") in TOKENS


def with_pooling(card: Card, how: str, name: str) -> Card:
    """Return the card of a model with another pooling; `name` is for messages.

    Raises
    ------
    CardError
        The card pools so itself, or its network returns no tokens.
    """
    if not returns_tokens(card) or card["pooling"] == how:
        said = card.get("pooling", NO_POOLING)
        raise CardError(f"Model {name!r}: its card says `pooling: {said}`, which stays.")
    words, times = TOKENS[how]
    width = card["dim"] // TOKENS[card["pooling"]][1]
    tokens = {"global_pool": ""} if card["loader"] == "timm" else {}
    change = {"title": f"{card['title']}, {words}", "pooling": how, "dim": times * width}
    return card | change | {"arguments": card["arguments"] | tokens}


def crop_variants(
    name: str, card: Card, sides: list[int], resolutions: Sequence[float] = ()
) -> list[str]:
    """Return the names of a dataset's crops, every side at every resolution, µm per px.

    >>> crop_variants("midog2022", {"patch": {"side": 224}}, [64, 224])
    ['midog2022_64px', 'midog2022']
    >>> crop_variants("a", {"patch": {"side": 64}, "nominal_mpp": 0.25}, [64], [0.25, 0.5])
    ['a', 'a_64px_500nm']
    """
    own, native = card.get("patch", {}).get("side"), nominal_mpp(card)
    crops = [name if side == own else f"{name}_{side}px" for side in sides]
    if not resolutions:
        return crops
    return [
        crop if mpp == native else f"{name}_{side}px_{round(1000 * mpp)}nm"
        for side, crop in zip(sides, crops, strict=True)
        for mpp in resolutions
    ]


def pooling_variants(name: str, card: Card, hows: list[str]) -> list[str]:
    """Return the names of a model under several poolings; itself where it returns no tokens.

    >>> pooling_variants("uni", {"pooling": "class", "prefix_tokens": 1}, ["class", "class+mean"])
    ['uni', 'uni_pool_class_mean']
    """
    if not returns_tokens(card):
        return [name]
    other = {how: f"{name}_pool_{how.replace('+', '_')}" for how in hows}
    return [name if card["pooling"] == how else other[how] for how in hows]
