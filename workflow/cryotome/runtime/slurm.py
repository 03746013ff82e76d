"""What Slurm says of its partitions, and where this site wants its jobs.

Account and partitions come from `SLURM_ACCOUNT` and `SLURM_PARTITION`, else from
`config/site.yaml`; what is not said, Slurm decides.
"""

import os
import shutil
import subprocess
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, NamedTuple

from cryotome.core.cards import Card

PATIENCE = 30  # s that a program may take to answer
# key of config/site.yaml to the environment variable that wins over it
KEYS = {"slurm_account": "SLURM_ACCOUNT", "slurm_partition": "SLURM_PARTITION"}
KEYS |= {"slurm_gpu_partition": "SLURM_GPU_PARTITION", "slurm_gpu_model": "SLURM_GPU_MODEL"}
KEYS |= {"slurm_extra": "SLURM_EXTRA"}
SCHEDULER = "CRYOTOME_SCHEDULER"  # set by a profile whose jobs a scheduler places


class Granted(NamedTuple):
    """The most that a partition gives a job: minutes, and MB on its largest node."""

    minutes: float
    memory: float


ANYTHING = Granted(float("inf"), float("inf"))


@dataclass(frozen=True)
class Cluster:
    """Where the jobs of this site go; an empty value leaves the choice to Slurm.

    Attributes
    ----------
    gpu_partition
        Of jobs that ask for a GPU; without it they go where all others go.
    gpu_model
        Where a cluster has several: `a100`.
    extra
        Options of sbatch that every job gets: `--qos=long`.
    """

    account: str
    partition: str
    gpu_partition: str
    gpu_model: str
    extra: str

    def resources(self, on_gpu: bool) -> dict[str, str]:
        """Return what a job says to the Slurm executor."""
        partition = (on_gpu and self.gpu_partition) or self.partition
        model = self.gpu_model if on_gpu else ""
        said = {"slurm_account": self.account, "slurm_partition": partition}
        said |= {"gpu_model": model, "slurm_extra": self.extra}
        return {name: value for name, value in said.items() if value}

    def place(self, rule: Any, on_gpu: Callable[[Any], int], *, kept: Collection[str] = ()) -> None:
        """Give the jobs of a rule their account and partition.

        Parameters
        ----------
        rule
            Of Snakemake, with `resources`.
        on_gpu
            Wildcards to the number of GPUs that a job of a rule with `gpu` asks for.
        kept
            What the user says of this rule (`--set-resources`), and therefore stays.
        """
        graphic = "gpu" in rule.resources
        said = {**self.resources(False), **self.resources(graphic)}
        for name in (name for name in said if name not in kept):
            rule.resources[name] = lambda wildcards, name=name: self.resources(
                graphic and on_gpu(wildcards) > 0
            ).get(name)


def cluster_of(said: Card) -> Cluster:
    """Read account and partitions from the environment, else from the site's file."""
    chosen = {key: str(os.environ.get(name) or said.get(key) or "") for key, name in KEYS.items()}
    return Cluster(**{key.removeprefix("slurm_"): value for key, value in chosen.items()})


def query_slurm(command: list[str]) -> tuple[str, str]:
    """Return what a program prints, and why it could not: one of the two is empty."""
    if not shutil.which(command[0]):
        return "", f"no {command[0]} on PATH"
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            encoding="utf-8",
            errors="replace",  # a program may print in the encoding of the locale
            timeout=PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "", f"{command[0]} does not answer within {PATIENCE} s"
    except OSError as error:
        return "", f"{command[0]} cannot be started ({error.strerror})"
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        return "", f"{command[0]} fails: {said[0] if said else done.returncode}"
    return done.stdout, ""


def parse_minutes(limit: str) -> float:
    """Return the minutes of a time as Slurm writes it.

    >>> parse_minutes("1:00:00"), parse_minutes("7-00:00:00"), parse_minutes("infinite")
    (60.0, 10080.0, inf)
    """
    if not limit[:1].isdigit():
        return float("inf")
    days, _, clock = limit.rpartition("-")
    parts = [int(part) for part in clock.split(":")]
    hours, minute, second = [0] * (3 - len(parts)) + parts
    return (int(days or 0) * 24 + hours) * 60 + minute + second / 60


def partition_limits() -> dict[str, Granted]:
    """Return what each partition grants a job; nothing where Slurm does not answer.

    The default partition is there twice: under its name and under the empty one.
    """
    said, _ = query_slurm(
        ["sinfo", "--noheader", "--exact", "--format=%P %l %m"]
    )  # a line per kind of node
    found: dict[str, Granted] = {}
    for line in said.splitlines():
        name, limit, memory = line.split()
        for key in [name.rstrip("*"), *[""] * name.endswith("*")]:
            kinds = [found[key]] if key in found else []
            kinds.append(Granted(parse_minutes(limit), float(memory)))
            found[key] = Granted(*map(max, zip(*kinds, strict=True)))
    return found


def clamp_resources(cluster: Cluster) -> dict[bool, Granted]:
    """Return what a job of this site may ask for at most, without a GPU and with one.

    Slurm refuses a job that asks for more memory than any node has, and lets one wait for ever
    that asks for more time than its partition grants. One that needs more time is stopped at the
    limit and, tried again, goes on from its checkpoint. Of several partitions, separated by
    commas, Slurm takes one that grants enough.
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
