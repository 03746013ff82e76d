"""
The study, checked; where things lie at this site; what to say before planning.

No path and no computation lives here.
"""

import os
import sys
from pathlib import Path

from snakemake.logging import logger

BASE = Path(workflow.basedir)
sys.path.insert(
    0, str(BASE / "workflow")
)  # Snakemake hands its sys.path to the scripts

from cryotome import recipes
from cryotome.cards import facts
from cryotome.site import GPUS, announce, annotation_file, images_at_hand, settle
from cryotome.study import PRODUCTS, Study

SITE = settle(config, BASE / "config")
STUDY = Study(SITE.study, BASE / "config")

if workflow.is_main_process:
    announce(STUDY, SITE, say=logger.info)

USES_GPU = STUDY.config["device"] != "cpu" and (
    GPUS > 0 or STUDY.config["device"] == "job"
)
if (
    GPUS and STUDY.config["device"] != "job"
):  # no more GPU jobs at once than there are GPUs
    workflow.global_resources.setdefault("gpu", GPUS)


def library(*files):
    """Name the modules that decide a cheap rule's numbers: editing one reruns the rule and what is below."""
    return [os.path.relpath(BASE / "workflow" / f"{file}.py") for file in files]


def drawn(pattern):
    """Return an input function: a pattern for every fraction and fold of the job's scheme."""
    return lambda w: expand(
        pattern, **w, fraction=STUDY.fractions(w.scheme), fold=STUDY.folds
    )


def studied(blocks, pattern):
    """Return a pattern for every row, fraction and fold of these (dataset, scheme) pairs."""
    return sorted(
        {
            path
            for dataset, scheme in blocks
            for row in STUDY.rows
            for path in expand(
                pattern,
                dataset=dataset,
                scheme=scheme,
                row=row,
                fraction=STUDY.fractions(scheme),
                fold=STUDY.folds,
            )
        }
    )


def published(file):
    """Name a file of printed numbers."""
    return os.path.relpath(BASE / "config" / "published" / file)


wildcard_constraints:
    study=r"[a-z0-9_]+",
    view=r"[a-z0-9]+(-[a-z0-9]+)?",
    head=r"[a-z0-9_]+",
    dataset=r"[a-z0-9_]+",
    scheme=r"[a-z0-9_]+",
    model=r"[a-z0-9_]+",
    fraction=r"[0-9.]+",
    fold=r"[0-9]+",
