"""Jobs that produce a study's results, and on which of them each row of Table 2 depends.

A row's own jobs are its embedding, or its finetuning, and its probes or trainings. What every row
of a dataset needs, such as its patches, is shared and belongs to none.
"""

import re

from cryotome.study.colorectal import PREDEFINED
from cryotome.study.facts import Job, JobFacts, RowJobs
from cryotome.study.row import LAST, Row
from cryotome.study.schemes import WHOLE
from cryotome.study.study import Study


def count_jobs(study: Study, dataset: str) -> list[str]:
    """Return the schemes whose AUROC stands beside the cost of a row.

    Those of Table 2 where the dataset is in it, else the first of the study.
    """
    crossed = [scheme for name, scheme in study.cross_domain_blocks if name == dataset]
    pooled = [scheme for name, scheme in study.all_domain_blocks if name == dataset]
    return crossed or pooled[:1] or study.schemes(dataset)[:1]


def jobs_of_row(study: Study, row: Row, dataset: str) -> list[Job]:
    """Return the jobs that a row needs for the counted schemes of a dataset, beyond shared ones."""
    encoder = {"model": row.model}
    drawn = [(s, f, str(k)) for s in count_jobs(study, dataset)
             for f in study.training_fractions(s, row.head) for k in study.folds]  # fmt: skip
    weights = study.model(row.model)["weights"]
    jobs: list[Job] = []
    if isinstance(weights, dict) and "finetune" in weights:
        jobs.append(("finetune_dinov2", {"finetune": weights["finetune"]}))
    if study.is_trainable(row.head):
        encoder |= {"dataset": dataset, "head": row.head.removesuffix(LAST)}
        trained = ({"scheme": s, "fraction": f, "fold": k} for s, f, k in drawn)
        return jobs + [("train_endtoend", encoder | one) for one in trained]
    encoder |= {"dataset": dataset, "view": row.view}
    jobs.append(("embed", encoder))
    if study.is_reduced_precision(row.model, row.view):
        jobs.append(("check_precision", encoder))
    for scheme in count_jobs(study, dataset):
        rule = "probe_whole" if re.fullmatch(WHOLE, scheme) else "probe"
        jobs.append((rule, encoder | {"scheme": scheme, "head": row.head}))
    return jobs


def shared_jobs(study: Study, dataset: str) -> list[Job]:
    """Return the jobs that every row of a dataset needs for its counted schemes."""
    rules = ["read_cells", "cut_patches", "audit"]
    schemes = count_jobs(study, dataset)
    rules += ["place_windows"] * any(map(study.needs_windows, schemes))
    drawn = [
        ("split_cells", {"dataset": dataset, "scheme": s, "fraction": f, "fold": str(k)})
        for s in schemes
        for f in study.training_fractions(s)
        for k in study.folds
    ]
    return [(rule, {"dataset": dataset}) for rule in rules] + drawn


def job_facts(study: Study) -> JobFacts:
    """Return the jobs of a study, as `summarise_costs` sums them up."""
    part = study.colorectal
    rows = study.rows if study.blocks else []
    heads = [row.head.removesuffix(LAST) for row in rows]
    wildcards: dict[str, list[str]] = {
        "dataset": study.all_datasets,
        "scheme": [scheme for _, scheme in study.blocks],
        "fraction": [*study.fractions, "1.0"],
        "fold": [str(fold) for fold in study.folds],
        "record": study.downloads,
    }
    models = list(study.models)
    if part:
        heads += [*part.patch_heads, *part.slide_heads]
        wildcards["scheme"] = [*wildcards["scheme"], PREDEFINED, part.scheme]
        wildcards["finetune"] = part.finetunings
        models += [
            model for course in part.figure2_checkpoints.values() for model in course.values()
        ]
    return JobFacts(
        wildcards=wildcards | {"head": heads, "model": models},
        rows=[
            RowJobs(dataset, row.model, row.head, jobs_of_row(study, row, dataset))
            for dataset in study.datasets for row in rows
        ],
        shared={name: shared_jobs(study, name) for name in study.datasets},
        schemes={name: count_jobs(study, name) for name in study.datasets},
        synthetic=[n for n in study.all_datasets if "synthetic" in study.dataset(n)],
    )  # fmt: skip
