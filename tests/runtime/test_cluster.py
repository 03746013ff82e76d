"""A process knows the scheduler's job that it runs in by the variables of five schedulers."""

import pytest

from cryotome.runtime.cluster import VARIABLES, placement

JOBS = {
    "slurm": ({"SLURM_JOB_ID": "71", "SLURM_ARRAY_TASK_ID": "3"}, "71"),
    "lsf": ({"LSB_JOBID": "71", "LSB_JOBINDEX": "0"}, "71.0"),
    "pbs": ({"PBS_JOBID": "71[3].server", "PBS_ENVIRONMENT": "PBS_BATCH"}, "71[3].server"),
    "sge": ({"JOB_ID": "71", "SGE_TASK_ID": "undefined", "NSLOTS": "1"}, "71.undefined"),
    "kubernetes": ({"KUBERNETES_SERVICE_HOST": "10.0.0.1", "HOSTNAME": "pod-71"}, "pod-71"),
}


@pytest.mark.parametrize("scheduler", VARIABLES)
def test_each_scheduler_is_known_by_what_it_sets(scheduler):
    environ, job = JOBS[scheduler]
    assert placement(environ | {"HOME": "h"}) == (scheduler, job)


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"JOB_ID": "71"},  # of anyone
        {"JOB_ID": "71", "NSLOTS": "4"},
        {"HOSTNAME": "workstation"},
        {"SLURM_JOB_ID": "", "SLURM_PARTITION": "gpu"},  # an option of sbatch, on a login node
        {"LSB_DEFAULTQUEUE": "normal"},
    ],
)
def test_a_process_outside_of_a_job_is_placed_by_none(environ):
    assert placement(environ) is None


def test_a_scheduler_in_a_pod_has_placed_the_job():
    assert placement(JOBS["kubernetes"][0] | JOBS["slurm"][0]).scheduler == "slurm"


def test_elements_of_an_array_are_jobs_of_their_own():
    for name, index in (("lsf", "LSB_JOBINDEX"), ("sge", "SGE_TASK_ID")):
        environ, job = JOBS[name]
        assert placement(environ | {index: "4"}).job != job
