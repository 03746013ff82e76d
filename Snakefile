"""
cryotome: is a frozen foundation model enough, or should we train end to end?

Read the includes in order: that is how the data flows, from annotations to a cell of Table 2.
Which models, datasets, fractions and folds meet is said in config/config.yaml.
"""

import os

from snakemake.utils import min_version

min_version("9.27")


# beside this file, wherever Snakemake works (`--directory`)
configfile: os.path.relpath(os.path.join(workflow.basedir, "config/config.yaml"))


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/inputs.smk"
include: "workflow/rules/fetch.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/slides.smk"
include: "workflow/rules/encode.smk"
include: "workflow/rules/predict.smk"
include: "workflow/rules/finetune.smk"
include: "workflow/rules/tissue.smk"
include: "workflow/rules/cohort.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/context.smk"
include: "workflow/rules/clinic.smk"
include: "workflow/rules/ledger.smk"
include: "workflow/rules/atlas.smk"
include: "workflow/rules/colorectal.smk"
include: "workflow/rules/page.smk"
include: "workflow/rules/cluster.smk"


onstart:
    from cryotome.study.site import forbid_run_in_plan_mode

    forbid_run_in_plan_mode()


onsuccess:
    from cryotome.report.after_failure import (
        clear_partial_page,
        refresh_partial_tables,
        report_excluded_images,
        report_odd_slides,
    )

    refresh_partial_tables(STUDY, rules.table2_partial.input, LOGS)
    clear_partial_page(STUDY, LOGS.parent)
    report_excluded_images(STUDY, LOGS.parent, say=logger.warning)
    report_odd_slides(STUDY, LOGS.parent, say=logger.warning)


onerror:
    from cryotome.report.tables.partial_roth2024 import write_partials
    from cryotome.report.after_failure import (
        report_failed_jobs,
        report_excluded_images,
        report_odd_slides,
    )
    from cryotome.cli.page import write_partial_page

    report_failed_jobs(
        STUDY,
        rules.table2_partial.input,
        LOGS,
        run=os.environ[RUN],
        say=logger.error,
    )
    scores = {kind: of_rows(kind) for kind in ("slides", "patches")}
    write_partials(STUDY, scores, LOGS, say=logger.error)
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
        studied(
            STUDY.blocks,
            "results/splits/{dataset}/{scheme}/fraction={fraction}/fold={fold}.leakage.csv",
        ),
