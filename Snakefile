"""
cryotome: is a frozen foundation model enough, or should we train end to end?

Read the includes in order: that is how the data flows, from annotations to a cell of Table 2.
The models, datasets, fractions and folds of a study are set in config/config.yaml.
"""

import os

from snakemake.utils import min_version

min_version("9.27")


# beside this file, wherever Snakemake works (`--directory`)
configfile: os.path.relpath(workflow.source_path("config/config.yaml"))


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/inputs.smk"
include: "workflow/rules/downloads.smk"
include: "workflow/rules/demo.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/splits.smk"
include: "workflow/rules/slides.smk"
include: "workflow/rules/encode.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/finetune.smk"
include: "workflow/rules/learn.smk"
include: "workflow/rules/apply.smk"
include: "workflow/rules/apply_slides.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/external.smk"
include: "workflow/rules/raters.smk"
include: "workflow/rules/ganz2024.smk"
include: "workflow/rules/roth2024.smk"
include: "workflow/rules/rank.smk"
include: "workflow/rules/scanners.smk"
include: "workflow/rules/published.smk"
include: "workflow/rules/clinical.smk"
include: "workflow/rules/recalibration.smk"
include: "workflow/rules/context.smk"
include: "workflow/rules/robustness.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/cluster.smk"


# a second safeguard: with `--profile slurm` names are part of a shell's command line
wildcard_constraints:
    study=r"[a-z0-9_]+",
    view=r"[a-z0-9]+(-[a-z0-9]+)?",
    head=r"[a-z0-9_]+",
    dataset=r"[a-z0-9_]+",
    record=r"[a-z0-9_]+",
    scheme=rf"{OF_CELLS}[a-z0-9_]+",
    model=r"[a-z0-9_]+",
    finetune=r"[a-z0-9_]+",
    fraction=r"[0-9.]+",
    fold=r"[0-9]+",
    tiling=r"[a-z0-9_]+",
    slide=WILDCARD,


# two datasets that their authors part have rules of their own
ruleorder: split_predefined > split_cells
ruleorder: classify_patches > probe
ruleorder: score_patches > score_row


onstart:
    from cryotome.runtime.scheduler import lift_default_rate
    from cryotome.runtime.warm_start import start_server
    from cryotome.study.site import forbid_run_in_plan_mode

    forbid_run_in_plan_mode()
    lift_default_rate(workflow)
    start_server(workflow, gpu=USES_GPU)


onsuccess:
    from cryotome.report.after_failure import (
        clear_partial_page,
        record_history,
        refresh_partial_tables,
        report_answer,
        report_excluded_images,
        report_odd_slides,
    )

    refresh_partial_tables(STUDY, rules.table2_partial.input, LOGS)
    clear_partial_page(STUDY, LOGS.parent)
    report_excluded_images(STUDY, LOGS.parent, say=logger.warning)
    report_odd_slides(STUDY, LOGS.parent, say=logger.warning)
    record_history(STUDY, LOGS.parent, say=logger.warning)
    report_answer(STUDY, LOGS.parent, say=logger.info)


onerror:
    from cryotome.report.after_failure import (
        report_excluded_images,
        report_failed_jobs,
        report_odd_slides,
        write_partial_roth_tables,
    )
    from cryotome.cli.page import write_partial_page

    report_failed_jobs(
        STUDY,
        rules.table2_partial.input,
        LOGS,
        run=os.environ[RUN],
        say=logger.error,
    )
    write_partial_roth_tables(STUDY, ROTH_SCORES, LOGS, say=logger.error)
    write_partial_page(STUDY, LOGS.parent, say=logger.error)
    report_excluded_images(STUDY, LOGS.parent, say=logger.warning)
    report_odd_slides(STUDY, LOGS.parent, say=logger.warning)


localrules:
    all,


rule all:
    """Make every table and figure of the study, and the audit of every split."""
    default_target: True
    input:
        expand("results/{product}", product=STUDY.products),
        "results/index.html",
        [
            f"results/applied/{each.target}/{row.model}.{row.head}.csv"
            for each in applications(STUDY)
            for row in applied_rows(STUDY)
        ],
        [
            f"results/applied/{each.target}/{run.model}.{run.head}.csv"
            for each in slide_applications(STUDY)
            for run in rule_inputs.row_runs(COLORECTAL, "slides")
        ],
        all_runs(
            STUDY.blocks,
            "results/splits/{dataset}/{scheme}/fraction={fraction}/fold={fold}.leakage.csv",
        ),
