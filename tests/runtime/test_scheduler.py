"""Snakemake selects jobs when one has ended, not again and again."""

import pytest
from conftest import ROOT
from small_study import snakemake

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
    said = snakemake(tmp_path, "--cores", "1", "--verbose", *limit)
    selections = said.count("Resources before job selection")
    assert said.count("Finished jobid") == 7
    # once before the first job, at most once after each; a limit brings series of its own
    assert (selections <= 8) == (limit == [])
