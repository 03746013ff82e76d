"""Cautions of a study: what its cards say against a conclusion, in sentences.

The planning log, `make doctor` and the page say them.
"""

from cryotome.study.resolution import FAR, at_own_resolution, own_resolution, seen_mpp
from cryotome.study.scanners import NOT_PARTED, why_not_parted
from cryotome.study.schemes import Scheme
from cryotome.study.study import Study


def cautions(study: Study) -> list[str]:
    """Return one sentence for each thing that the numbers of a study do not tell apart."""
    return [*_scanners(study), *_resolutions(study)]


def own_resolutions(study: Study) -> dict[str, str]:
    """Return whether each model of the rows sees patches at a resolution of its own."""
    datasets = {name: study.dataset(name) for name in study.datasets}
    views: dict[str, list[str]] = {}
    for row in study.rows:
        views.setdefault(row.model, []).append(row.view)
    return {name: own_resolution(study.model(name), datasets, seen) for name, seen in views.items()}


def _scanners(study: Study) -> list[str]:
    """Name the datasets that schemes by scanner leave alone."""
    if not any(Scheme.parse(name).is_by_scanner for name in study.config["schemes"]):
        return []
    why = {name: why_not_parted(study.dataset(name)) for name in study.datasets}
    return [
        f"{name} is not split by scanner ({reason}): {NOT_PARTED}."
        for name, reason in why.items()
        if reason
    ]


def _resolutions(study: Study) -> list[str]:
    """Name the models that see patches far from every resolution that they were trained at."""
    far: dict[tuple[str, str, str], list[str]] = {}
    for row in study.rows:
        model = study.model(row.model)
        for name in study.datasets:
            card = study.dataset(name)
            if at_own_resolution(model, card, row.view) == "no":
                trained = ", ".join(f"{mpp:g}" for mpp in model["trained_mpp"])
                place = (name, f"{seen_mpp(model, card, row.view):.2g}", trained)
                far.setdefault(place, []).append(row.model)
    return [
        f"{', '.join(dict.fromkeys(models))} (trained at {trained} µm/px) see patches of {name} at "
        f"{mpp} µm/px, more than {FAR:g} times off."
        for (name, mpp, trained), models in far.items()
    ]
