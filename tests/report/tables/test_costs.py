import json
import math
from pathlib import Path

import pandas as pd

from cryotome.report.tables.costs import JOBS, costs, read_jobs, with_auroc
from cryotome.study.facts import Job, JobFacts, RowJobs

EMBED = ("embed", {"dataset": "d", "view": "v", "model": "uni"})
PROBE = ("probe_whole", EMBED[1] | {"scheme": "from_a", "head": "ridge"})
CUT = ("cut_patches", {"dataset": "d"})
TRAIN = ("train_endtoend", {"dataset": "d", "scheme": "from_a", "model": "r50", "head": "endtoend",
                            "fraction": "1.0", "fold": "0"})  # fmt: skip
FACTS = JobFacts(
    wildcards={"dataset": ["d"], "model": ["uni", "r50"]},
    rows=[RowJobs("d", "uni", "ridge", [EMBED, PROBE]), RowJobs("d", "r50", "endtoend", [TRAIN])],
    shared={"d": [CUT]},
    schemes={"d": ["from_a"]},
    synthetic=[],
)


def wrote(ledger: Path, job: Job, *lines: dict, day: int = 1) -> None:
    """Write the attempts of a job, a line each."""
    rule, wildcards = job
    path = ledger / rule / f"{'.'.join(wildcards.values())}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    about = {"rule": rule, "wildcards": wildcards, "run": "r", "threads": 2}
    about |= {"device": "Xeon", "host_kind": "Linux", "gpu_s": 0.0}
    with path.open("a", encoding="utf-8") as file:
        for n, line in enumerate(lines):
            stamps = {"started": f"2026-01-{day:02}T0{n}:00:00+00:00"}
            stamps |= {"stopped": f"2026-01-{day:02}T0{n}:30:00+00:00"} if line else {}
            file.write(json.dumps(about | stamps | line) + "\n")


def took(wall: float, cpu: float, ended: str = "ok", **more: object) -> dict:
    return {"ended": ended, "wall_s": wall, "cpu_s": cpu, "peak_mb": 100.0} | more


def test_a_job_is_summed_over_the_attempts_behind_its_result(tmp_path):
    wrote(tmp_path, EMBED, took(1000, 1000), took(5, 4, "failed", peak_mb=300.0), {},
          took(20, 30, items=400, unit="patches", per_s=40.0))  # fmt: skip
    table = read_jobs(tmp_path, FACTS.wildcards)
    (line,) = table.to_dict("records")
    told = ("rule", "model", "attempts", "killed", "wall_s", "cpu_s", "peak_mb", "items", "per_s")
    assert [line[name] for name in told] == ["embed", "uni", 3, 1, 25.0, 34.0, 300.0, 400, 40.0]
    assert line["when"] == "2026-01-01T03:30:00+00:00"
    assert list(table) == [*JOBS, "after"]


def test_jobs_of_other_studies_of_the_report_and_without_success_are_left_out(tmp_path):
    wrote(tmp_path, ("embed", EMBED[1] | {"model": "virchow"}), took(1, 1))
    wrote(tmp_path, ("table2", {"study": "demo"}), took(1, 1))
    wrote(tmp_path, EMBED, took(1, 1, "failed"))
    assert read_jobs(tmp_path, FACTS.wildcards).empty
    assert read_jobs(tmp_path / "none", FACTS.wildcards).empty


def table_of(folder: Path) -> dict[str, dict]:
    table = costs(read_jobs(folder, FACTS.wildcards), FACTS)
    return {line["model"]: line for line in table.to_dict("records")}


def test_a_row_costs_its_embedding_and_its_probes_and_the_patches_stand_apart(tmp_path):
    gpu = {"gpu_s": 1800.0, "device": "H200", "peak_gpu_mb": 5000.0, "energy_kj": 720.0}
    wrote(tmp_path, EMBED, took(1800, 3600, items=9000, unit="patches", per_s=5.0, **gpu))
    wrote(tmp_path, PROBE, took(180, 360, peak_mb=900.0))
    wrote(tmp_path, CUT, took(720, 7200))
    row = table_of(tmp_path)["uni"]
    wanted = {
        "jobs": 2, "missing": 0, "killed": 0, "gpu_hours": 0.5, "core_hours": 1.1,
        "wall_hours": 0.55, "shared_gpu_hours": 0.0, "shared_core_hours": 2.0, "peak_mb": 900.0,
        "peak_gpu_mb": 5000.0, "patches_per_s": 5.0, "device": "H200", "energy_kwh": 0.2,
        "embedding_gpu_hours": 0.5, "embedding_core_hours": 1.0, "scheme": "from_*", "note": "",
    }  # fmt: skip
    assert {name: row[name] for name in wanted} == wanted


def test_what_has_no_record_is_counted_and_never_zero(tmp_path):
    wrote(tmp_path, PROBE, {}, took(36, 36))
    rows = table_of(tmp_path)
    assert (rows["uni"]["jobs"], rows["uni"]["missing"], rows["uni"]["killed"]) == (2, 1, 1)
    assert rows["uni"]["core_hours"] == 0.01
    assert rows["uni"]["note"] == (
        "at least: 1 of 2 jobs have no record; at least: 1 killed attempts left no account; "
        "1 of 1 shared jobs have no record"
    )
    assert math.isnan(rows["uni"]["energy_kwh"])
    assert rows["r50"]["missing"] == 1
    for name in ("gpu_hours", "core_hours", "wall_hours", "shared_core_hours", "peak_mb"):
        assert math.isnan(rows["r50"][name]), name
    assert rows["r50"]["note"].startswith("no record of any job")


def test_energy_is_told_only_where_every_gpu_job_told_it(tmp_path):
    wrote(tmp_path, EMBED, took(1, 1, gpu_s=1.0, energy_kj=3600.0))
    wrote(tmp_path, PROBE, took(1, 1, gpu_s=1.0))
    assert math.isnan(table_of(tmp_path)["uni"]["energy_kwh"])


def test_parts_of_an_embedding_that_other_jobs_made_belong_to_it_since_it_was_last_made(tmp_path):
    shard = ["embed_shard", EMBED[1] | {"part": "1", "parts": "2"}]
    old = ["embed_shard", EMBED[1] | {"part": "1", "parts": "4"}]
    wrote(tmp_path, old, took(9999, 9999), day=1)
    wrote(tmp_path, EMBED, took(1, 1), day=2)
    wrote(tmp_path, shard, took(3600, 3600, gpu_s=3600.0), day=3)
    wrote(tmp_path, EMBED, took(360, 360, items=0, unit="patches", per_s=0.0), day=4)
    row = table_of(tmp_path)["uni"]
    assert (row["gpu_hours"], row["core_hours"]) == (1.0, 1.1)
    assert row["jobs"] == 2


def test_the_auroc_beside_is_that_of_table_2_or_of_all_test_cells():
    line = {"model": "uni", "head": "ridge", "energy_kwh": 0.0}
    table = pd.DataFrame([line | {"dataset": "d", "scheme": "from_*"},
                          line | {"dataset": "e", "scheme": "random"}])  # fmt: skip
    table2 = pd.DataFrame([{"dataset": "d", "model": "uni", "head": "ridge",
                            "in_mean": 0.9, "out_mean": 0.8}])  # fmt: skip
    given = {"dataset": "e", "scheme": "random", "row": "uni + ridge"}
    intervals = pd.DataFrame([
        given | {"fraction": 0.1, "tested": "all", "auroc": 0.5},
        given | {"fraction": 1.0, "tested": "all", "auroc": 0.7},
        given | {"fraction": 1.0, "tested": "domains", "auroc": 0.6},
    ])  # fmt: skip
    found = with_auroc(table, table2, intervals)
    assert found["in_mean"].tolist() == [0.9, 0.7]
    assert found["out_mean"][0] == 0.8
    assert math.isnan(found["out_mean"][1])
    alone = with_auroc(table[["dataset", "model", "head", "scheme", "energy_kwh"]], None, intervals)
    assert alone["in_mean"].isna().tolist() == [True, False]
