"""Costs from the ledger: those of each job, and of each row of Table 2.

Unknown costs are empty and counted as missing, never zero.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cryotome.runtime.ledger import ENDING, KILLED, attempts, attempts_for_result
from cryotome.study.facts import Job, JobFacts
from cryotome.study.schemes import Scheme

WILDCARDS = ["dataset", "scheme", "view", "model", "head", "fraction", "fold", "tiling", "slide"]
WILDCARDS += ["part", "parts", "finetune", "record"]
SUMS, PEAKS = ["wall_s", "cpu_s", "gpu_s"], ["peak_mb", "peak_gpu_mb"]
LAST = ["device", "items", "unit", "per_s"]
JOBS = ["rule", *WILDCARDS, "attempts", "killed", *SUMS, *PEAKS, *LAST]
JOBS += ["energy_kj", "gpu_shared_by", "threads", "when", "host_kind"]
ROW = ["dataset", "model", "head"]
Line = dict[Any, Any]  # of a data frame
HOUR = 3600.0  # s per hour; kJ per kWh


def read_jobs(ledger: Path, wildcards: dict[str, list[str]]) -> pd.DataFrame:
    """Read the costs of a study's jobs, one line per job that has succeeded.

    Summed over the attempts that led to its present result. Costs of killed attempts are
    unknown; `killed` counts them. Jobs of the report itself are left out: they still run.

    Parameters
    ----------
    ledger
        The folder of the jobs' records.
    wildcards
        Name to the values that the study's jobs have.

    Returns
    -------
    data frame with the columns `JOBS`; and `after`, when the previous result was made
    """
    found = []
    for path in sorted(ledger.glob(f"*/*{ENDING}")):
        made = attempts(path)
        behind = attempts_for_result(made)
        if behind and _belongs(behind[-1]["wildcards"], wildcards):
            before = made[: made.index(behind[0])]
            after = max((one["stopped"] for one in before if "stopped" in one), default="")
            found.append(_job(behind) | {"after": after})
    table = pd.DataFrame(found, columns=[*JOBS, "after"])
    return table.sort_values(["rule", *WILDCARDS], ignore_index=True)


def _belongs(wildcards: dict[str, str], allowed: dict[str, list[str]]) -> bool:
    if not set(wildcards) <= set(WILDCARDS):
        return False
    return all(value in allowed.get(name, [value]) for name, value in wildcards.items())


def _job(behind: list[dict[str, Any]]) -> dict[str, Any]:
    """Sum up the attempts for a result; the last is the one that succeeded."""
    last, known = behind[-1], [one for one in behind if one["ended"] != KILLED]
    line = {"rule": last["rule"], **last["wildcards"], "attempts": len(behind)}
    line["killed"] = len(behind) - len(known)
    line |= {name: round(sum(one[name] for one in known), 3) for name in SUMS}
    line |= {name: max((one[name] for one in known if name in one), default=None) for name in PEAKS}
    line |= {name: last.get(name) for name in (*LAST, "threads", "host_kind", "gpu_shared_by")}
    has_energy = ["energy_kj" in one for one in known if one["gpu_s"]]
    if has_energy and all(has_energy):
        line["energy_kj"] = round(sum(one.get("energy_kj", 0) for one in known), 3)
    return line | {"when": last["stopped"]}


def costs(jobs: pd.DataFrame, facts: JobFacts) -> pd.DataFrame:
    """Sum up the costs of each row on each dataset.

    A row's own jobs count in full, also an embedding that other rows read: rows do not add up.
    Jobs that all rows of a dataset share are in columns of their own.

    Parameters
    ----------
    jobs
        From `read_jobs`.

    Returns
    -------
    data frame with a line per dataset and row; hours are empty where no job has a record, and
    a lower bound where `missing` or `killed` is not 0
    """
    known = {_key(line["rule"], _wildcards(line)): line for line in jobs.to_dict("records")}
    shared = {name: _sum(keys, known) for name, keys in facts.shared.items()}
    lines = []
    for row in facts.rows:
        own, common = _sum(row.jobs, known), shared[row.dataset]
        embedding = _sum([job for job in row.jobs if job[0] == "embed"], known)
        line = {name: getattr(row, name) for name in ROW} | own
        names = ("gpu_hours", "core_hours", "jobs", "missing")
        line |= {f"shared_{name}": common[name] for name in names}
        line |= {f"embedding_{name}": embedding[name] for name in names[:2]}
        line["scheme"] = _scheme(facts.schemes[row.dataset])
        lines.append(line | {"note": _note(own, common)})
    return pd.DataFrame(lines, columns=COSTS)


COSTS = [*ROW, "jobs", "missing", "gpu_hours", "core_hours", "wall_hours", "shared_gpu_hours"]
COSTS += ["shared_core_hours", "peak_mb", "peak_gpu_mb", "patches_per_s", "device", "energy_kwh"]
COSTS += ["scheme", "killed", "embedding_gpu_hours", "embedding_core_hours", "shared_jobs"]
COSTS += ["shared_missing", "note"]


def _scheme(schemes: list[str]) -> str:
    """Return how tables name these schemes together."""
    return str(Scheme.parse(schemes[0]).every)


def _key(rule: str, wildcards: dict[str, str]) -> tuple:
    return (rule, *sorted(wildcards.items()))


def _wildcards(line: Line) -> dict[str, str]:
    return {name: line[name] for name in WILDCARDS if isinstance(line[name], str)}


def _sum(keys: list[Job], known: dict[tuple, Line]) -> dict[str, Any]:
    """Sum up jobs, with the jobs of their shards; NaN where none has the value."""
    found = [known[_key(*key)] for key in keys if _key(*key) in known]
    total: dict[str, Any] = {"jobs": len(keys), "missing": len(keys) - len(found)}
    found += [shard for one in found if one["rule"] == "embed" for shard in _shards(one, known)]
    table = pd.DataFrame(found, columns=JOBS)
    total["killed"] = int(table["killed"].sum())
    for name, column in (("wall_hours", "wall_s"), ("core_hours", "cpu_s"), ("gpu_hours", "gpu_s")):
        total[name] = table[column].astype(float).sum(min_count=1) / HOUR
    total |= {name: table[name].astype(float).max() for name in PEAKS}
    total["patches_per_s"] = _throughput(table)
    heavy = table[table["gpu_s"] > 0] if (table["gpu_s"] > 0).any() else table
    total["device"] = "; ".join(dict.fromkeys(heavy["device"].dropna()))
    total["sharing"] = int(np.nanmax([1, *table["gpu_shared_by"].astype(float)]))
    measured = len(heavy) and heavy["energy_kj"].notna().all() and total["sharing"] == 1
    total["energy_kwh"] = float(heavy["energy_kj"].sum()) / HOUR if measured else np.nan
    return total


def _throughput(table: pd.DataFrame) -> float:
    """Return patches per second of all jobs that process patches; NaN where none does."""
    worked = table[(table["unit"] == "patches") & (table["items"] > 0)]
    if worked.empty:
        return float("nan")
    seconds = (worked["items"] / worked["per_s"]).astype(float).sum()
    return round(float(worked["items"].sum()) / seconds, 2)


def _shards(embed: Line, known: dict[tuple, Line]) -> list[Line]:
    """Return the shard jobs of an embedding that ended since the embedding before it."""
    same = ("dataset", "view", "model")
    return [
        one
        for one in known.values()
        if one["rule"] == "embed_shard"
        and all(one[name] == embed[name] for name in same)
        and embed["after"] < one["when"] <= embed["when"]
    ]


def _note(own: dict[str, Any], shared: dict[str, Any]) -> str:
    """Return what the sums leave out."""
    notes = []
    if own["missing"] == own["jobs"]:
        notes.append("no record of any job: made before the ledger, or its records are gone")
    elif own["missing"]:
        notes.append(f"at least: {own['missing']} of {own['jobs']} jobs have no record")
    if own["killed"]:
        notes.append(f"at least: {own['killed']} killed attempts left no account")
    if own["sharing"] > 1:
        notes.append(
            f"up to {own['sharing']} jobs shared a GPU: GPU-hours are those of each lease, and "
            "energy, which the whole GPU tells, is left out"
        )
    if shared["missing"]:
        notes.append(f"{shared['missing']} of {shared['jobs']} shared jobs have no record")
    return "; ".join(notes)


def with_auroc(
    table: pd.DataFrame, table2: pd.DataFrame | None, intervals: pd.DataFrame
) -> pd.DataFrame:
    """Add `in_mean` and `out_mean`: of Table 2, or of all test cells of a dataset not in it.

    Parameters
    ----------
    table
        From `costs`.
    """
    given = intervals[(intervals["tested"] == "all")]
    given = given[given["fraction"] == given.groupby("dataset")["fraction"].transform("max")]
    lines = []
    for line in table[[*ROW, "scheme"]].to_dict("records"):
        row, where = f"{line['model']} + {line['head']}", given["dataset"] == line["dataset"]
        mine = given[where & (given["scheme"] == line["scheme"]) & (given["row"] == row)]
        found = {"in_mean": mine["auroc"].mean(), "out_mean": np.nan}
        if table2 is not None:
            same = (table2[ROW] == [line[name] for name in ROW]).all(axis=1)
            found |= {name: table2.loc[same, name].mean() for name in found if same.any()}
        lines.append(found)
    means = pd.DataFrame(lines, columns=["in_mean", "out_mean"], dtype=float)
    place = list(table.columns).index("energy_kwh") + 1
    for n, name in enumerate(means):
        table.insert(place + n, name, means[name].to_numpy())
    return table
