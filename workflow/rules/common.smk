"""
The study of this run, checked; its site; and what all rules share.

No path of a result is made here: `inputs.smk` does that.
"""

import functools
import json
import os
import sys
import uuid
from dataclasses import asdict
from pathlib import Path

from snakemake.logging import logger

LOGS = Path("results/logs")
BASE = Path(workflow.current_basedir.get_path_or_uri(secret_free=True)).parents[1]
sys.path.insert(0, str(BASE / "workflow"))  # Snakemake hands it to the scripts

from cryotome.runtime.interpreter import quote_executable, restart_in_utf8

restart_in_utf8(workflow.overwrite_workdir)
quote_executable()

from cryotome.study.costs import gflop, prices, resources as estimates
from cryotome.core import step_versions
from cryotome.core.import_closure import watched_files
from cryotome.core.cards import tiling_of, without_notes
from cryotome.data.names import WILDCARD
from cryotome.runtime.cluster import SCHEDULER, SLURM
from cryotome.runtime.environment import confine
from cryotome.runtime.failures import RUN
from cryotome.runtime.log import LOG_ONLY
from cryotome.runtime.slurm import ANYTHING, clamp_resources, with_retries
from cryotome.study.load import study_of
from cryotome.study.gather_facts import row_facts
from cryotome.study.products import report_entry
from cryotome.study.site import SITE_KEYS, print_study_summary

confine(os.environ)  # the jobs inherit it, before their first import
# a study of `--configfile` says all of itself, but Snakemake merges it into the demo's config
MERGED = workflow.overwrite_configfiles and not workflow.modifier.skip_configfile
OWN = workflow.config_settings.overwrite_config if MERGED else config
OWN = {key: config[key] for key in SITE_KEYS if key in config} | OWN
STUDY, SITE = study_of(OWN, BASE / "config", tuple(map(str, workflow.configfiles)))
os.environ.update(SITE.environment)
COLORECTAL = STUDY.colorectal
# the dataset that another one tests has rules of its own; without one, no name is it
TWO_SETS = COLORECTAL.train if COLORECTAL and COLORECTAL.sets else "(?!)"

if workflow.is_main_process:
    os.environ[RUN] = uuid.uuid4().hex  # its jobs inherit it
    # a view such as `--logger rich` draws on the terminal, and lines of jobs would break it
    if any(view.writes_to_stream for view in workflow.logger_manager.plugin_handlers):
        os.environ[LOG_ONLY] = "1"
    asked = [word for word in sys.argv[1:] if word.startswith("results/")]
    print_study_summary(STUDY, SITE, say=logger.info, targets=asked)

DEVICE = STUDY.config["device"]
USES_GPU = DEVICE == "per_job" or (DEVICE == "auto" and SITE.gpu_jobs > 0)
# no more GPU jobs at once than this machine's GPUs can hold, unless a scheduler places them
if SITE.gpu_jobs and DEVICE != "per_job":
    workflow.global_resources.setdefault("gpu", SITE.gpu_jobs)
GRANTED = {False: ANYTHING, True: ANYTHING}
if os.environ.get(SCHEDULER) == SLURM and workflow.is_main_process:
    GRANTED = clamp_resources(SITE.cluster)


def on_gpu(w):
    """Whether a job asks for a GPU: one where a network computes and there may be one."""
    return int(USES_GPU and "gflops" in STUDY.model(w.model))


memory_with_retries, runtime_with_retries = (  # MB, minutes
    functools.partial(with_retries, GRANTED, kind) for kind in ("memory", "minutes")
)


def threads_of(rule):
    """Return the number of threads of a job of this rule, by its work."""
    return lambda w: prices.threads_of(STUDY, gflop.Job(rule, dict(w.items())))


def gpu_job(memory, minutes, on=on_gpu):
    """Return the resources of a job that uses a GPU where `on` says so."""
    return {
        "gpu": on,
        "mem_mb": memory_with_retries(memory, on=on),
        "runtime": runtime_with_retries(minutes, on=on),
    }


# of a job that makes one table or figure, and of one that reads every prediction of a study
SMALL_JOB, LARGE_JOB = (
    {"mem_mb": memory_with_retries(mb, share=6), "runtime": runtime_with_retries(time, share=4)}
    for mb, time in ((2000, 10), (4000, 40))
)


def library(script):
    """Return a cheap rule's script and the modules it imports: editing one reruns the rule."""
    path = BASE / f"workflow/scripts/{script}.py"
    return lambda w: [os.path.relpath(file) for file in watched_files(path)]


def reported(path):
    """Put a product into Snakemake's report, with what `PRODUCTS` has on it."""
    name = Path(path).relative_to("results/studies/{study}").as_posix()
    return report(path, **report_entry(STUDY, name))


def figure_files(path):
    """Return the outputs of a figure, by name: its table, PDF and PNG."""
    ends = {"table": "csv", "pdf": "pdf", "png": "png"}
    return {name: reported(f"{path}.{end}") for name, end in ends.items()}
