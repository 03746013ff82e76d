"""
The study, checked; where things lie at this site; what to say before planning.

No path and no computation lives here.
"""

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

from cryotome import recipes
from cryotome.cards import facts
from cryotome.failures import RUN
from cryotome.site import GPUS, announce, annotation_file, images_at_hand, settle
from cryotome.study import PRODUCTS, SHARED, WHOLE, Study

SITE = settle(config, BASE / "config")
STUDY = Study(SITE.study, BASE / "config", files=tuple(map(str, workflow.configfiles)))

if workflow.is_main_process:
    os.environ[RUN] = uuid.uuid4().hex  # its jobs inherit it
    announce(STUDY, SITE, say=logger.info)

DEVICE = STUDY.config["device"]
USES_GPU = DEVICE == "job" or (DEVICE == "auto" and GPUS > 0)
# no more GPU jobs at once than this machine has GPUs, unless a scheduler places them
if GPUS and DEVICE != "job":
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


# how often our intervals cover in simulated studies
CALIBRATION = os.path.relpath(BASE / "config" / "calibration.csv")


PUBLISHED = [
    os.path.relpath(file) for file in sorted((BASE / "config/published").glob("*.csv"))
]


def published(file):
    """Name one file of printed numbers."""
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
