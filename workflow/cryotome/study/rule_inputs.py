"""Inputs of rules by name: the datasets, models and heads that a job reads, without paths."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from cryotome.core.cards import below
from cryotome.core.errors import CryotomeError
from cryotome.core.files import ids_beside
from cryotome.study.colorectal import PREDEFINED, Colorectal
from cryotome.study.site import PLAN, Site, folder_of
from cryotome.study.study import Study


class ScoredRun(NamedTuple):
    """One file of scores: a model and a head on a dataset."""

    dataset: str
    scheme: str
    view: str
    model: str
    head: str


def required_table(study: Study, site: Site, dataset: str, table: str) -> list[str]:
    """Return the table `labels` or `slide_table` of a cohort; none where its card names none.

    Where only a plan is made, also none that does not exist yet.

    Raises
    ------
    CryotomeError
        It does not exist.
    """
    card = study.dataset(dataset)
    said = card["labels"]["table"] if table == "labels" else card.get(table)
    if said is None:
        return []
    path = below(folder_of(card, site.data_root), said)
    if "synthetic" in card or path.exists():
        return [str(path)]
    if PLAN in os.environ:
        return []
    raise CryotomeError(
        f"{path} does not exist, so the patients of {dataset!r} cannot be read. Put it there "
        "(docs/guides/reproduce-roth2024.md), or set `data_root` in config/site.yaml."
    )


def own_embeddings_files(study: Study, site: Site, dataset: str, model: str) -> list[Path]:
    """Return where a model's own embeddings of a dataset belong; none of other models."""
    said = study.model(model).get("embeddings")
    if said is None:
        return []
    path = below(site.data_root, said.format(dataset=dataset))
    return [path, ids_beside(path)] if path.suffix == ".npy" else [path]


def own_embeddings(study: Study, site: Site, dataset: str, model: str) -> list[str]:
    """Return the files of a model's own embeddings of a dataset; none of other models.

    Where only a plan is made, also none that does not exist yet.

    Raises
    ------
    CryotomeError
        One does not exist.
    """
    paths = own_embeddings_files(study, site, dataset, model)
    missing = [path for path in paths if not path.is_file()]
    if missing and PLAN in os.environ:
        return []
    if missing:
        raise CryotomeError(
            f"{missing[0]} does not exist or is no file, so {model} has no embeddings of "
            f"{dataset!r}. Put it there, or correct `embeddings:` of its card or `data_root` in "
            "config/site.yaml."
        )
    return [str(path) for path in paths]


def with_external(study: Study, dataset: str) -> list[str]:
    """Return a cohort and, where it is the study's own, its external cohorts after it."""
    part = study.colorectal
    return [dataset, *(part.external if part and dataset == part.cohort else [])]


def class_lists(study: Study, datasets: Iterable[str]) -> str:
    """Return the classes of datasets as JSON."""
    return json.dumps({name: {"classes": study.dataset(name)["classes"]} for name in datasets})


def subject_facts(study: Study, dataset: str, encoder: str = "null") -> str:
    """Return what a kept model says of the data that it is trained on, as JSON.

    Parameters
    ----------
    encoder
        The card of the encoder as JSON, where no store that the job reads has it.
    """
    card = study.dataset(dataset)
    if card["reader"] == "slides":
        said, tiles = card["labels"], card.get("tiles", {}).get("classify")
        classes = [" or ".join(map(str, said[kind])) for kind in ("negative", "positive")]
        facts = {"classes": classes, "target": card["target"], "patch": tiles}
    else:
        classes = [one["name"] for one in card.get("classes", [])]
        facts = {"classes": classes, "patch": card["patch"], "mpp": card.get("mpp")}
    known = json.loads(encoder)
    return json.dumps(facts | ({"encoder": known} if known else {}))


def row_runs(part: Colorectal | None, kind: str) -> list[ScoredRun]:
    """Return the runs of every row on `patches` or `slides`; none where the study has none."""
    models = part and {"patches": part.patch_models, "slides": part.slide_models}[kind]
    return _runs(part, kind, models or [])


def checkpoint_runs(part: Colorectal | None) -> list[ScoredRun]:
    """Return the runs of every checkpoint of Figure 2."""
    courses = part.figure2_checkpoints if part else {}
    return [run for kind, course in courses.items() for run in _runs(part, kind, course.values())]


def finetunings(part: Colorectal | None) -> list[str]:
    """Return the finetunings of encoders in tables and figures."""
    return part.finetunings if part else []


def figure2_finetunings(part: Colorectal | None) -> list[str]:
    """Return the finetunings whose checkpoints Figure 2 scores on patches."""
    courses = part.figure2_checkpoints if part else {}
    ends = [[*course.values()][-1] for kind, course in courses.items() if kind == "patches"]
    return [part.model(name)["weights"]["finetune"] for name in ends if part]


def tiled_cohorts(part: Colorectal | None) -> list[str]:
    """Return the cohorts of which slides are tiled: not where a user provides every bag."""
    wanted = part.embedding_requests if part else []
    return [*dict.fromkeys(name for rule, models, name in wanted if rule != "embed" and models)]


def _runs(part: Colorectal | None, kind: str, models: Iterable[str]) -> list[ScoredRun]:
    if part is None or not {"patches": part.sets, "slides": part.cohorts}[kind]:
        return []
    if kind == "patches":
        dataset, scheme, heads = part.train, PREDEFINED, part.patch_heads
    else:
        dataset, scheme, heads = part.cohort, part.scheme, part.slide_heads
    return [
        ScoredRun(dataset, scheme, part.view, model, head) for model in models for head in heads
    ]
