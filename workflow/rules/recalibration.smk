"""
Scores are recalibrated on validation cells, or on a few labelled cells of the target domain.

INPUT     results/predictions/…      with `recalibration:` those of `from_*` and `except_*` at every fraction
OUTPUT    results/studies/{study}/recalibration.csv, .pdf, .png, recalibration_orders.csv
"""


use rule probe as probe_whole_smaller with:
    # smaller training fractions of one domain, or of all but one, which `recalibration:` alone reads
    input:
        library("probe"),
        lambda w: checks_of_precision(w, w.dataset),
        embeddings="results/embeddings/{dataset}/{view}/{model}.h5",
        cells="results/cells/{dataset}.csv",
        splits=expand(
            "results/splits/{{dataset}}/{{scheme}}/fraction={{fraction}}/fold={fold}.csv",
            fold=STUDY.folds,
        ),
    output:
        predictions=expand(
            "results/predictions/{{dataset}}/{{scheme}}/view={{view}}/model={{model}}/head={{head}}/fraction={{fraction}}/fold={fold}.csv",
            fold=STUDY.folds,
        ),
        kept=[],
    log:
        "results/logs/probe_whole_smaller/{dataset}.{scheme}.{view}.{model}.{head}.fraction={fraction}.log",
    wildcard_constraints:
        head=STUDY.heads(trains=False),
        scheme=WHOLE,
        fraction=r"(?!1\.0/)[0-9.]+",


rule recalibrate:
    """Measure calibration before and after recalibration, and the order of rows by it."""
    input:
        library("recalibrate"),
        cells=expand("results/cells/{dataset}.csv", dataset=STUDY.datasets),
        predictions=all_runs(STUDY.blocks, PREDICTIONS, fractions=STUDY.recalibrated_fractions),
    output:
        **figure_files("results/studies/{study}/recalibration"),
        orders=reported("results/studies/{study}/recalibration_orders.csv"),
    log:
        "results/logs/recalibrate/{study}.log",
    resources:
        **LARGE_JOB,
    params:
        **ROW_FACTS,
        labels=lambda w: STUDY.recalibration["labels"],
    script:
        "../scripts/recalibrate.py"
