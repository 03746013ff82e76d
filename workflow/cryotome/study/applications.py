"""Applications: the datasets that a study's kept models are applied to, and which of its models."""

from dataclasses import dataclass

from cryotome.core.errors import CardError
from cryotome.study.row import LAST, Row
from cryotome.study.schemes import strictest_scheme
from cryotome.study.study import Study


@dataclass(frozen=True)
class Application:
    """Models that were trained on a dataset by a scheme, applied to another dataset."""

    target: str
    dataset: str
    scheme: str


def applications(study: Study) -> list[Application]:
    """Return the applications to cells that `apply` of a study asks for.

    Raises
    ------
    CardError
        The study keeps no models; a target trains them; the dataset or the scheme is not said
        where there are several, or is none of the study.
    """
    return [_application(study, one) for one in _entries(study) if not _is_slides(study, one)]


def slide_applications(study: Study) -> list[Application]:
    """Return the applications to slides that `apply` of a study asks for.

    Raises
    ------
    CardError
        As `applications`; or the study has no slides, or its encoders' bags are a user's.
    """
    return [_slide_application(study, one) for one in _entries(study) if _is_slides(study, one)]


def external_applications(study: Study) -> list[Application]:
    """Return every training of cells of all domains with each external dataset of the study."""
    return [
        Application(name, dataset, scheme)
        for dataset, scheme in study.all_domain_blocks
        for name in study.config["external"]
        if name != dataset
    ]


def external_runs(study: Study, pattern: str) -> list[str]:
    """Return a pattern for every training with its external datasets, row and fold.

    Parameters
    ----------
    pattern
        Of `of`, an `Application`, `row`, `fraction` (the largest) and `fold`.
    """
    runs = [
        pattern.format(of=of, row=row, fold=fold,
                       fraction=max(study.training_fractions(of.scheme), key=float))
        for of in external_applications(study)
        for row in applied_rows(study)
        for fold in study.folds
    ]  # fmt: skip
    return sorted(set(runs))


def _entries(study: Study) -> list[dict[str, str]]:
    said = [{"target": one} if isinstance(one, str) else one for one in study.config["apply"]]
    if said and not study.config["keep"]:
        where = _where(study, said[0])
        raise CardError(f"{where} needs the models, and `keep: false` keeps none. Leave one out.")
    return said


def _is_slides(study: Study, said: dict[str, str]) -> bool:
    return bool(study.dataset(said["target"])["reader"] == "slides")


def _where(study: Study, said: dict[str, str]) -> str:
    return f"study {study.name!r}, apply: {said['target']!r}"


def _slide_application(study: Study, said: dict[str, str]) -> Application:
    where, target, part = _where(study, said), said["target"], study.colorectal
    if not (part and part.cohorts):
        raise CardError(
            f"{where} is a cohort of slides, and the study trains no classifier of slides "
            "(`slides:` of `colorectal:`). Models of cells are applied to cells."
        )
    given = [name for name in part.slide_models if study.given_bags(target, name)]
    if given:
        raise CardError(
            f"{where} has bags of {given[0]} that another program made. Where their tiles lie on "
            "the slide is not known. Name a card without `bags:`."
        )
    dataset = _only(where, "dataset", [part.cohort], said)
    if target == dataset:
        raise CardError(f"{where} trains these models. Name a cohort that they have not seen.")
    return Application(target, dataset, _only(where, "scheme", [part.scheme], said))


def _application(study: Study, said: dict[str, str]) -> Application:
    where = _where(study, said)
    dataset = _only(where, "dataset", study.datasets, said)
    schemes = study.schemes(dataset)
    strict = [said["scheme"]] if said.get("scheme") in schemes else strictest_scheme(schemes)
    scheme = _only(where, "scheme", strict, said)
    if said["target"] == dataset:
        raise CardError(f"{where} trains these models. Name a dataset that they have not seen.")
    return Application(said["target"], dataset, scheme)


def _only(where: str, key: str, known: list[str], said: dict[str, str]) -> str:
    """Return what an entry says of a key, or the only value that there is."""
    if key in said:
        if said[key] not in known:
            raise CardError(f"{where}, {key}: {said[key]!r} is none of {known}.")
        return said[key]
    if len(known) != 1:
        raise CardError(
            f"{where} does not say which of {known} trained the models. Write "
            f"`{{target: {said['target']}, dataset: …, scheme: …}}`."
        )
    return known[0]


def applied_run(study: Study, target: str, model: str, head: str) -> tuple[Application, Row]:
    """Return what is applied to a target by a row's models.

    Raises
    ------
    CardError
        The study's `apply` does not name the target, or it has no such row.
    """
    rows = [row for row in applied_rows(study) if (row.model, row.head) == (model, head)]
    found = [(each, row) for each in applications(study) for row in rows if each.target == target]
    if not found:
        raise CardError(
            f"study {study.name!r} applies no {model} + {head} to {target!r}. Its `apply` names "
            f"{study.targets}, its rows with models that are kept are "
            f"{[row.key for row in applied_rows(study)]}."
        )
    return found[0]


def synthetic_notice(study: Study, target: str, trained_on: str) -> str:
    """Say that a target, or what trained its models, is synthetic; nothing where neither is."""
    said = [(name, study.dataset(name).get("synthetic", "")) for name in (target, trained_on)]
    return "; ".join(f"{name}: {notice}" for name, notice in dict(said).items() if notice)


def applied_rows(study: Study) -> list[Row]:
    """Return the rows whose models are kept and can see other cells.

    Last checkpoints are not kept; what a slide's own cells say holds for no other slide.
    """
    return [
        row
        for row in study.rows
        if not row.head.endswith(LAST)
        and study.head(row.head)["learner"] != "prevalence"
        and study.model(row.model).get("loader") != "slide_identity"
    ]
