"""
External cohorts: the models of every fold on the cells of other datasets.

INPUT     results/external/{external}/{dataset}/{scheme}/…    id, label, score by the model of a fold
OUTPUT    results/studies/{study}/external.csv, .pdf, .png
"""

EXTERNAL_RUNS = all_runs(
    dict.fromkeys(block[:2] for block in STUDY.external_blocks), PREDICTIONS, largest_fraction
)


rule external_cohorts:
    """Measure every row on external datasets, and what it loses from in domain."""
    input:
        library("external_cohorts"),
        cells=expand("results/cells/{dataset}.csv", dataset=STUDY.all_datasets),
        patches=expand("results/patches/{dataset}.h5", dataset=STUDY.all_datasets),
        predictions=EXTERNAL_RUNS,
        external=[
            file.replace("results/predictions/", f"results/external/{name}/", 1)
            for file in EXTERNAL_RUNS
            for name in STUDY.external
            if not file.startswith(f"results/predictions/{name}/")
        ],
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
