"""Snakemake selects jobs when one has ended, not again and again."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SNAKEFILE = f"""
import sys
sys.path.insert(0, {str(ROOT / "workflow")!r})
from cryotome.runtime.scheduler import lift_default_rate

rule all:
    input: expand("{{n}}.txt", n=range(6))

rule one:
    output: "{{n}}.txt"
    shell: "sleep 0.5; touch {{output}}"

onstart:
    lift_default_rate(workflow)
""".replace("{{", "{").replace("}}", "}")


@pytest.mark.parametrize("limit", [[], ["--max-jobs-per-timespan", "50/1s"]])
def test_jobs_are_selected_once_a_finished_job_unless_the_user_sets_a_limit(tmp_path, limit):
    (tmp_path / "Snakefile").write_text(SNAKEFILE, encoding="utf-8")
    command = ["snakemake", "--cores", "1", "--verbose", *limit]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, encoding="utf-8", check=True)
    selections = done.stderr.count("Resources before job selection")
    assert done.stderr.count("Finished jobid") == 7
    # once before the first job, at most once after each; a limit brings series of its own
    assert (selections <= 8) == (limit == [])
