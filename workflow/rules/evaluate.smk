"""
Predictions become scores of a row, and intervals and comparisons of all rows.

INPUT     results/predictions/…  id, role, label, score
OUTPUT    results/scores/{dataset}/{scheme}/view={view}/model={model}/head={head}.csv, of sets .confusion.csv
          results/studies/{study}/intervals.csv, metrics.csv, comparisons.csv, variances.csv, row_ranks.csv, learning.csv, crossings.csv
"""


rule score_row:
    """Compute every metric per fraction, fold and test domain, from the predictions alone."""
    input:
        library("score_row"),
        cells="results/cells/{dataset}.csv",
        predictions=all_folds_of_scheme(
            "results/predictions/{dataset}/{scheme}/view={view}/model={model}/head={head}/fraction={fraction}/fold={fold}.csv"
        ),
    output:
        scores="results/scores/{dataset}/{scheme}/view={view}/model={model}/head={head}.csv",
    log:
        "results/logs/score_row/{dataset}.{scheme}.{view}.{model}.{head}.log",
    resources:
        mem_mb=memory_with_retries(4000),
        runtime=runtime_with_retries(10, share=2),
    params:
        scheme="{scheme}",
        scanners=lambda w: STUDY.scanners(w.dataset, w.scheme),
    script:
        "../scripts/score_row.py"


rule score_patches:
    """Measure the predictions of a given test set, with intervals and a table of confusions."""
    input:
        library("score_patches"),
        cells=both_sets("results/cells/{dataset}.csv"),
        predictions="results/predictions/{dataset}/predefined/view={view}/model={model}/head={head}/fraction=1.0/fold=0.csv",
    output:
        scores="results/scores/{dataset}/predefined/view={view}/model={model}/head={head}.csv",
        table="results/scores/{dataset}/predefined/view={view}/model={model}/head={head}.confusion.csv",
    log:
        "results/logs/score_patches/{dataset}.{view}.{model}.{head}.log",
    wildcard_constraints:
        dataset=TWO_SETS,
    resources:
        mem_mb=memory_with_retries(2000),
        runtime=runtime_with_retries(15, share=2),
    params:
        datasets=lambda w: class_lists(STUDY, [w.dataset, COLORECTAL.test]),
    script:
        "../scripts/score_patches.py"


rule score_patients:
    """Compute every metric per fold on the cohort and outside it, from the predictions alone."""
    input:
        library("score_patients"),
        predictions=lambda w: [
            f"results/predictions/{w.dataset}/{w.scheme}/view={w.view}/model={w.model}/head={w.head}/fraction=1.0/fold={fold}.csv"
            for fold in COLORECTAL.folds
        ],
    output:
        scores="results/scores/{dataset}/{scheme}/view={view}/model={model}/head={head}.csv",
    log:
        "results/logs/score_patients/{dataset}.{scheme}.{view}.{model}.{head}.log",
    wildcard_constraints:
        scheme=OF_PATIENTS,
    resources:
        mem_mb=memory_with_retries(2000),
        runtime=runtime_with_retries(10),
    params:
        cohort="{dataset}",
        external=lambda w: with_external(STUDY, w.dataset)[1:],
    script:
        "../scripts/score_patients.py"


rule compare:
    """Compute the intervals of every row, and compare it with the reference row."""
    input:
        library("compare"),
        cells=expand("results/cells/{dataset}.csv", dataset=STUDY.datasets),
        predictions=all_runs(STUDY.blocks, PREDICTIONS),
        calibration=CALIBRATION,
    output:
        table=reported("results/studies/{study}/intervals.csv"),
        against=reported("results/studies/{study}/comparisons.csv"),
        spread=reported("results/studies/{study}/variances.csv"),
        curves=reported("results/studies/{study}/learning.csv"),
        crossed=reported("results/studies/{study}/crossings.csv"),
        ranked=reported("results/studies/{study}/row_ranks.csv"),
        metrics=reported("results/studies/{study}/metrics.csv"),
    log:
        "results/logs/compare/{study}.log",
    resources:
        **LARGE_JOB,
    params:
        **ROW_FACTS,
    script:
        "../scripts/compare.py"
