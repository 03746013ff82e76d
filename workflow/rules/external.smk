"""
External cohorts: the models of every fold on the cells of other datasets.

INPUT     results/external/{target}/{dataset}/{scheme}/…    id, label, score by the model of a fold
OUTPUT    results/studies/{study}/external.csv, .pdf, .png
"""

from cryotome.study.applications import external_runs


rule external_cohorts:
    """Measure every row on external datasets, and what it loses from in domain."""
    input:
        library("external_cohorts"),
        cells=expand("results/cells/{dataset}.csv", dataset=STUDY.all_datasets),
        patches=expand("results/patches/{dataset}.h5", dataset=STUDY.all_datasets),
        predictions=external_runs(
            STUDY,
            "results/predictions/{of.dataset}/{of.scheme}/view={row.view}/model={row.model}/head={row.head}/fraction={fraction}/fold={fold}.csv",
        ),
        external=external_runs(STUDY, EXTERNAL),
        calibration=CALIBRATION,
    output:
        **figure_files("results/studies/{study}/external"),
    log:
        "results/logs/external_cohorts/{study}.log",
    resources:
        **LARGE_JOB,
    params:
        **ROW_FACTS,
    script:
        "../scripts/external_cohorts.py"
