"""Slurm: limits of its partitions, and the partition and account of each job.

Account and partitions come from `SLURM_ACCOUNT` and `SLURM_PARTITION`, else from
`config/site.yaml`; without them Slurm chooses.
"""

import os
import shutil
import subprocess
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, NamedTuple

from cryotome.core.cards import Card

TIMEOUT = 30  # s that a program of Slurm may take
# key of config/site.yaml to the environment variable that wins over it
KEYS = {"slurm_account": "SLURM_ACCOUNT", "slurm_partition": "SLURM_PARTITION"}
KEYS |= {"slurm_gpu_partition": "SLURM_GPU_PARTITION", "slurm_gpu_model": "SLURM_GPU_MODEL"}
KEYS |= {"slurm_extra": "SLURM_EXTRA"}


class Granted(NamedTuple):
    """The limits of a partition: minutes of a job, and MB of its largest node."""

    minutes: float
    memory: float


ANYTHING = Granted(float("inf"), float("inf"))


@dataclass(frozen=True)
class Cluster:
    """Account and partitions of this site's jobs; where empty, Slurm chooses.

    Attributes
    ----------
    gpu_partition
        Of jobs with a GPU; default: `partition`.
    gpu_model
        Such as `a100`, where a cluster has several.
    extra
        Options of sbatch for every job, such as `--qos=long`.
    """

    account: str
    partition: str
    gpu_partition: str
    gpu_model: str
    extra: str

    def resources(self, on_gpu: bool) -> dict[str, str]:
        """Return the resources of a job for the Slurm executor."""
        partition = (on_gpu and self.gpu_partition) or self.partition
        model = self.gpu_model if on_gpu else ""
        wanted = {"slurm_account": self.account, "slurm_partition": partition}
        wanted |= {"gpu_model": model, "slurm_extra": self.extra}
        return {name: value for name, value in wanted.items() if value}

    def place(self, rule: Any, on_gpu: Callable[[Any], int], *, kept: Collection[str] = ()) -> None:
        """Set account and partition of the jobs of a rule.

        Parameters
        ----------
        rule
            A rule of Snakemake, with `resources`.
        on_gpu
            Function of the wildcards: number of GPUs of a job, for rules with `gpu`.
        kept
            Resources set by the user (`--set-resources`), which are not changed.
        """
        has_gpu = "gpu" in rule.resources
        wanted = {**self.resources(False), **self.resources(has_gpu)}
        for name in (name for name in wanted if name not in kept):
            rule.resources[name] = lambda wildcards, name=name: self.resources(
                has_gpu and on_gpu(wildcards) > 0
            ).get(name)


def cluster_of(site: Card) -> Cluster:
    """Read account and partitions from the environment, else from the site's keys."""
    chosen = {key: str(os.environ.get(name) or site.get(key) or "") for key, name in KEYS.items()}
    return Cluster(**{key.removeprefix("slurm_"): value for key, value in chosen.items()})


def query_slurm(command: list[str]) -> tuple[str, str]:
    """Return the output of a program, and why it failed: one of the two is empty."""
    if not shutil.which(command[0]):
        return "", f"no {command[0]} on PATH"
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            encoding="utf-8",
            errors="replace",  # a program may print in the encoding of the locale
            timeout=TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "", f"{command[0]} does not answer within {TIMEOUT} s"
    except OSError as error:
        return "", f"{command[0]} cannot be started ({error.strerror})"
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        return "", f"{command[0]} fails: {lines[0] if lines else done.returncode}"
    return done.stdout, ""


def parse_minutes(limit: str) -> float:
    """Return the minutes of a time limit as Slurm prints it.

    >>> [parse_minutes(limit) for limit in ("1:00:00", "7-00:00:00", "30:00", "infinite")]
    [60.0, 10080.0, 30.0, inf]
    """
    if not limit[:1].isdigit():
        return float("inf")
    days, _, clock = limit.rpartition("-")
    parts = [int(part) for part in clock.split(":")]
    hours, minute, second = [0] * (3 - len(parts)) + parts
    return (int(days or 0) * 24 + hours) * 60 + minute + second / 60


def partition_limits() -> dict[str, Granted]:
    """Return the limits of each partition; empty if Slurm does not answer.

    The default partition is also listed under the empty name.
    """
    # a line per kind of node
    output, _ = query_slurm(["sinfo", "--noheader", "--exact", "--format=%P %l %m"])
    found: dict[str, Granted] = {}
    for line in output.splitlines():
        name, limit, memory = line.split()
        for key in [name.rstrip("*"), *[""] * name.endswith("*")]:
            kinds = [found[key]] if key in found else []
            kinds.append(Granted(parse_minutes(limit), float(memory)))
            found[key] = Granted(*map(max, zip(*kinds, strict=True)))
    return found


def clamp_resources(cluster: Cluster) -> dict[bool, Granted]:
    """Return the most that a job of this site may request, without a GPU and with one.

    Slurm refuses a job that requests more memory than any node has, and keeps one pending for ever
    that requests more time than its partition allows. A job that needs more time is stopped at the
    limit and resumes from its checkpoint when retried. Of several partitions, separated by commas,
    Slurm takes one that allows enough.
    """
    known = partition_limits()
    asked = {g: cluster.resources(g).get("slurm_partition", "").split(",") for g in (False, True)}
    return {
        on_gpu: Granted(*map(max, zip(*(known.get(n, ANYTHING) for n in names), strict=True)))
        for on_gpu, names in asked.items()
    }


def with_retries(
    granted: dict[bool, Granted],
    kind: str,
    amount: float | Callable[[Any], float],
    share: int = 1,
    on: Callable[[Any], Any] = lambda wildcards: False,
) -> Callable[[Any, int], int]:
    """Return a resource that a retry asks for twice, thrice …, up to the limit of the partition.

    Parameters
    ----------
    granted
        From `clamp_resources`.
    kind
        `memory` (MB) or `minutes`.
    amount
        A number, or one per wildcards.
    share
        Jobs of a Slurm group, which adds up what so many of them ask for.
    on
        Whether the job of these wildcards uses a GPU.
    """

    def asked(wildcards: Any, attempt: int) -> int:
        wanted = attempt * (amount(wildcards) if callable(amount) else amount)
        return round(min(wanted, getattr(granted[bool(on(wildcards))], kind) / share))

    return asked
