"""
The study, checked; where things lie at this site; what to say before planning.

No path and no computation lives here.
"""

import functools
import json
import os
import sys
import uuid
from pathlib import Path

from snakemake.logging import logger

LOGS = Path("results/logs")
BASE = Path(workflow.basedir)
# Snakemake hands its sys.path to the scripts
sys.path.insert(0, str(BASE / "workflow"))

from cryotome.runtime.interpreter import quote_executable, restart_in_utf8

restart_in_utf8(workflow.overwrite_workdir)
quote_executable()

from cryotome.core import step_versions
from cryotome.data.slides import slide_list
from cryotome.core.cards import below, without_notes, tiling_of
from cryotome.runtime.slurm import ANYTHING, SCHEDULER, clamp_resources
from cryotome.study.costs.resources import (
    estimate_bag_mb,
    estimate_embed_minutes,
    estimate_embeddings_mb,
    estimate_finetune_mb,
    estimate_finetune_minutes,
    estimate_network_mb,
    estimate_patches_mb,
    estimate_probe_mb,
    estimate_slide_minutes,
    estimate_train_minutes,
)
from cryotome.data.demo.cohorts import COHORTS, cohort_slides
from cryotome.core.errors import CryotomeError
from cryotome.runtime.failures import RUN
from cryotome.runtime.log import LOG_ONLY
from cryotome.study.facts import (
    colorectal_facts,
    context_facts,
    encoder_facts,
    page_about,
    protocol_facts,
    table_facts,
)
from cryotome.encoders.weights_hash import weights_hash
from cryotome.runtime.environment import confine
from cryotome.evaluation.clinical.regions import areas_of
from cryotome.study.site import (
    PLAN,
    print_study_summary,
    annotation_file,
    folder_of,
    require_images,

)
from cryotome.data.file_names import WILDCARD
from cryotome.study.schemes import SHARED, WHOLE, strictest_scheme
from cryotome.study.products import PRODUCTS, require_product
from cryotome.study.load import study_of

confine(os.environ)  # the jobs inherit it, before their first import
STUDY, SITE = study_of(config, BASE / "config", tuple(map(str, workflow.configfiles)))
os.environ.update(SITE.environment)

if workflow.is_main_process:
    os.environ[RUN] = uuid.uuid4().hex  # its jobs inherit it
    # a view such as `--logger rich` draws on the terminal, and lines of jobs would tear it
    if any(view.writes_to_stream for view in workflow.logger_manager.plugin_handlers):
        os.environ[LOG_ONLY] = "1"
    asked = [word for word in sys.argv[1:] if word.startswith("results/")]
    print_study_summary(STUDY, SITE, say=logger.info, targets=asked)

DEVICE = STUDY.config["device"]
USES_GPU = DEVICE == "job" or (DEVICE == "auto" and SITE.gpu_jobs > 0)
# no more GPU jobs at once than this machine's GPUs bear, unless a scheduler places them
if SITE.gpu_jobs and DEVICE != "job":
    workflow.global_resources.setdefault("gpu", SITE.gpu_jobs)


def made(model):
    """Return the weights of a model that is finetuned here, or the folder of its checkpoints."""
    weights = STUDY.model(model)["weights"]
    if "finetune" not in weights:
        return []
    kind = "" if "iteration" in weights else ".pt"
    return [f"results/encoders/{weights['finetune']}{kind}"]


@functools.cache
def slide_files(dataset):
    """Return the slides of a cohort, by name, to their files."""
    return slide_list.slide_files(STUDY, SITE, dataset)


@functools.cache
def slides(dataset):
    """Return the slides of a cohort whose patients have a label."""
    return slide_list.labelled_slides(STUDY, SITE, dataset)


@functools.cache
def encoder_card(model):
    """Return what decides a model's embeddings: its card, and the content of its weights file."""
    card = STUDY.model(model)
    known = {"cache": Path("results/weights.json"), "log": logger.info}
    for path in made(model):
        iteration = card["weights"].get("iteration")
        file = os.path.join(path, f"{iteration}.pt") if iteration else path
        return without_notes(card | {"weights": card["weights"] | {"file": file}})
    return without_notes(weights_hash(card, model, SITE.weights_dir, **known))


PLACED = SCHEDULER in os.environ
GRANTED = {False: ANYTHING, True: ANYTHING}
if PLACED and workflow.is_main_process:
    GRANTED = clamp_resources(SITE.cluster)


def on_gpu(w):
    """Whether a job asks for a GPU: one where a network computes and there may be one."""
    return int(USES_GPU and "gflops" in STUDY.model(w.model))


def grows(amount, kind="memory", share=1, on=lambda w: False):
    """Return a resource that a retry asks for twice, thrice …, up to what the partition grants.

    `amount` is a number, or one per wildcards. A group of jobs adds up what so many of them ask
    for (`share`). `on` says which wildcards are a job with a GPU.
    """
    return lambda w, attempt: round(
        min(
            attempt * (amount(w) if callable(amount) else amount),
            getattr(GRANTED[bool(on(w))], kind) / share,
        )
    )


def lasts(amount, **how):
    """Return minutes that grow likewise."""
    return grows(amount, kind="minutes", **how)


def library(*files):
    """Name the modules that decide a cheap rule's numbers: editing one reruns the rule and what is below."""
    return [os.path.relpath(BASE / "workflow" / f"{file}.py") for file in files]


def drawn(pattern):
    """Return an input function: a pattern for every fraction and fold of the job's scheme."""
    return lambda w: [
        pattern.format(**w, fraction=fraction, fold=fold)
        for fraction in STUDY.training_fractions(w.scheme)
        for fold in STUDY.folds
    ]


def studied(blocks, pattern, fractions=STUDY.training_fractions):
    """Return a pattern for every row, fraction and fold of these (dataset, scheme) pairs."""
    # `expand` takes ten times as long, which large studies feel
    return sorted(
        {
            pattern.format(
                dataset=dataset, scheme=scheme, row=row, fraction=fraction, fold=fold
            )
            for dataset, scheme in blocks
            for row in STUDY.rows
            for fraction in fractions(scheme)
            for fold in STUDY.folds
        }
    )


CLINIC = "For the pathologist"  # a part of Snakemake's report


def reported(path, part, what):
    """Put a product into Snakemake's report; its caption is `workflow/report/{product}.rst`.

    `part` is the category, `what` the name for people, which may hold wildcards.
    """
    product = Path(path).relative_to("results/studies/{study}")
    named = [folder for folder in product.parts if "{" not in folder]
    tissue = {"tissue": "synthetic"} if STUDY.synthetic else {}
    return report(
        path,
        caption=f"../report/{Path(*named).with_suffix('.rst')}",
        category=part,
        subcategory="Figures" if product.suffix in (".pdf", ".png") else "Tables",
        labels={"what": what, "as": product.suffix[1:].upper(), **tissue},
    )


# how often our intervals cover in simulated studies
CALIBRATION = os.path.relpath(BASE / "config" / "calibration.csv")


PUBLISHED = [
    os.path.relpath(file) for file in sorted((BASE / "config/published").glob("*.csv"))
]


def published(file):
    """Name one file of printed numbers."""
    return os.path.relpath(BASE / "config" / "published" / file)


# schemes with splits, predictions and scores of their own rules: given sets, folds of patients
OF_PATIENTS = "patient_folds(_code)?"
OF_CELLS = rf"(?!(given|{OF_PATIENTS})(?![a-z0-9_]))"  # goes before the others' pattern


# a second wall: names reach a shell's command line with `--profile slurm`
wildcard_constraints:
    study=r"[a-z0-9_]+",
    view=r"[a-z0-9]+(-[a-z0-9]+)?",
    head=r"[a-z0-9_]+",
    dataset=r"[a-z0-9_]+",
    record=r"[a-z0-9_]+",
    scheme=rf"{OF_CELLS}[a-z0-9_]+",
    model=r"[a-z0-9_]+",
    finetune=r"[a-z0-9_]+",
    fraction=r"[0-9.]+",
    fold=r"[0-9]+",
    tiling=r"[a-z0-9_]+",
    slide=WILDCARD,
