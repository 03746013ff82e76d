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

from cryotome.study.costs import prices, resources as estimates
from cryotome.core import step_versions
from cryotome.core.import_closure import watched_files
from cryotome.core.cards import tiling_of, without_notes
from cryotome.data.names import WILDCARD
from cryotome.runtime.environment import confine
from cryotome.runtime.failures import RUN
from cryotome.runtime.log import LOG_ONLY
from cryotome.runtime.slurm import ANYTHING, SCHEDULER, clamp_resources, with_retries
from cryotome.study.load import study_of
from cryotome.study.gather_facts import row_facts
from cryotome.study.products import report_entry
