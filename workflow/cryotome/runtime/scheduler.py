"""Scheduler of Snakemake: its default limit of 100 jobs a second is lifted."""

from typing import Any

DEFAULT = 100, 1  # jobs in so many seconds; a limit that the user gives is kept


def lift_default_rate(workflow: Any) -> None:
    """Remove the scheduler's default rate limit, before its first job.

    Snakemake 9.27 selects jobs anew a second after each selection. Each job that ends starts
    another such series, and none of them ends: after n jobs the main process selects n times a
    second. Of the demo's 240 jobs it took 57 s of processor time; see
    docs/reference/performance.md.
    """
    limit = workflow.scheduling_settings.max_jobs_per_timespan
    if limit is not None and (limit.max_jobs, limit.timespan) == DEFAULT:
        workflow.scheduler.job_rate_limiter = None
