"""Cluster: the scheduler that has placed a process, known by the variables of its jobs."""

from collections.abc import Mapping
from typing import NamedTuple

SCHEDULER = "CRYOTOME_SCHEDULER"  # set by profiles that submit jobs to a scheduler
SLURM = "slurm"
# Scheduler to variables that it alone sets in a job, all of them. Those of `IDS` tell its jobs
# apart; where they are not named, all do. JOB_ID by itself could be anyone's.
VARIABLES = {
    SLURM: ("SLURM_JOB_ID",),
    "lsf": ("LSB_JOBID", "LSB_JOBINDEX"),  # of a job array, else 0
    "pbs": ("PBS_JOBID",),  # of Torque too; it holds the number within an array
    "sge": ("JOB_ID", "SGE_TASK_ID"),  # of a job array, else `undefined`
    "kubernetes": ("KUBERNETES_SERVICE_HOST", "HOSTNAME"),
}
IDS = {"kubernetes": ("HOSTNAME",)}  # the pod


class Placement(NamedTuple):
    """The scheduler and the job in which a process runs."""

    scheduler: str
    job: str


def placement(environ: Mapping[str, str]) -> Placement | None:
    """Return the scheduler's job that an environment is of; None outside of one.

    A scheduler whose nodes are pods is the one that has placed the job, not Kubernetes.

    >>> placement({"LSB_JOBID": "71", "LSB_JOBINDEX": "3"})
    Placement(scheduler='lsf', job='71.3')
    >>> placement({"JOB_ID": "71"})
    """
    for scheduler, names in VARIABLES.items():
        if all(environ.get(name) for name in names):
            ids = IDS.get(scheduler, names)
            return Placement(scheduler, ".".join(environ[name] for name in ids))
    return None
