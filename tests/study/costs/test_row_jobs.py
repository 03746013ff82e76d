import pytest
import yaml
from accidents import checkout
from conftest import CONFIG

from cryotome.cli.plan import planned_jobs
from cryotome.study.checks import checked_study
from cryotome.study.costs.row_jobs import count_jobs, job_facts, jobs_of_row, shared_jobs
from cryotome.study.load import config_file
from cryotome.study.row import Row
from cryotome.study.study import Study


def study(name: str, **changes: object) -> Study:
    return checked_study(
        yaml.safe_load(config_file(name, CONFIG).read_text(encoding="utf-8")) | changes, CONFIG
    )


def test_what_stands_in_table_2_is_counted_and_else_the_first_scheme():
    demo = study("demo")
    assert count_jobs(demo, "demo_rois") == ["from_breast", "from_lung", "from_lymphoma"]
    assert count_jobs(demo, "demo_slides") == ["random"]  # it has one domain
    ladder = study("demo", schemes=["except_*"], fractions=[1.0])
    assert count_jobs(ladder, "demo_rois") == ["except_breast"]


def test_a_probe_hangs_on_its_embedding_and_a_training_on_itself():
    demo = study("demo")
    ridge = jobs_of_row(demo, Row("vit_tiny_random", "ridge", "paper-fp32"), "demo_rois")
    assert [rule for rule, _ in ridge] == ["embed"] + 3 * ["probe_whole"]
    view = {"model": "vit_tiny_random", "dataset": "demo_rois", "view": "paper-fp32"}
    assert ridge[0][1] == view
    assert ridge[1][1] == view | {"scheme": "from_breast", "head": "ridge"}
    pooled = jobs_of_row(demo, Row("vit_tiny_random", "ridge", "paper-fp32"), "demo_slides")
    assert [rule for rule, _ in pooled] == ["embed", "probe"]
    trained = jobs_of_row(
        demo, Row("efficientnet_lite0", "endtoend_brief_last", "patches"), "demo_rois"
    )
    assert len(trained) == 6  # three domains, two folds; the last checkpoint is of the same job
    assert trained[0] == ("train_endtoend", {
        "model": "efficientnet_lite0", "dataset": "demo_rois", "head": "endtoend_brief",
        "scheme": "from_breast", "fraction": "1.0", "fold": "0",
    })  # fmt: skip


def test_views_in_lower_precision_are_checked_too():
    ganz = study("ganz2024")
    row = next(row for row in ganz.rows if row.model == "uni")
    rules = [rule for rule, _ in jobs_of_row(ganz, row, "midog2022")]
    assert rules == ["embed", "check_precision"] + 5 * ["probe_whole"]


def test_what_every_row_needs_is_shared():
    jobs = shared_jobs(study("demo"), "demo_rois")
    assert [rule for rule, _ in jobs] == ["read_cells", "cut_patches", "audit"] + 6 * [
        "split_cells"
    ]
    by_cells = shared_jobs(study("demo", schemes=["no_overlap"]), "demo_slides")
    assert [rule for rule, _ in by_cells][3] == "place_windows"


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    folder = checkout(tmp_path_factory.mktemp("accounts"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return planned_jobs(folder / "config" / "config.yaml")


def test_every_job_of_the_accounts_is_one_that_snakemake_plans(planned):
    facts = job_facts(study("demo"))
    jobs = {(job.rule, *sorted(job.wildcards.items())) for job in planned}
    said = [job for row in facts.rows for job in row.jobs]
    said += [job for shared in facts.shared.values() for job in shared]
    assert len(said) == 36 + 14 + 9 + 7  # of regions and of slides; shared by rows of each
    assert {(rule, *sorted(wildcards.items())) for rule, wildcards in said} <= jobs


def test_the_wildcards_of_all_that_is_planned_are_the_studys(planned):
    named = job_facts(study("demo")).wildcards
    strange = {
        (name, value)
        for job in planned
        for name, value in job.wildcards.items()
        if name in named and value not in named[name]
    }
    assert strange == set()
