"""
Every cell or patient gets its role in every fold.

INPUT     results/cells/{dataset}.csv, results/audits/{dataset}.csv, .windows.csv
          results/cohorts/{dataset}.patients.csv
OUTPUT    results/splits/{dataset}/{scheme}/fraction={fraction}/fold={fold}.csv     id, role
          … .json, … .leakage.csv                  how it was drawn, and what leaks from training to test
"""


rule split_cells:
    """Draw the train, validation and test cells of one fold."""
    input:
        cells="results/cells/{dataset}.csv",
        # where nothing is dropped, a repeated audit changes no split; all crops of a dataset
        # depend on one audit, so that their splits are the same
        audit=lambda w: (str if STUDY.drops(w.dataset) else ancient)(
            f"results/audits/{STUDY.split_source(w.dataset)}.csv"
        ),
        windows=lambda w: [f"results/audits/{STUDY.split_source(w.dataset)}.windows.csv"]
        * STUDY.needs_windows(w.scheme),
        listed=lambda w: training_list(STUDY, SITE, w.dataset, w.scheme),
    # a job per fold: a fold that is added leaves the finished ones, and their trainings, alone
    output:
        split="results/splits/{dataset}/{scheme}/fraction={fraction}/fold={fold}.csv",
        about="results/splits/{dataset}/{scheme}/fraction={fraction}/fold={fold}.json",
    log:
        "results/logs/split_cells/{dataset}.{scheme}.fraction={fraction}.fold={fold}.log",
    resources:
        mem_mb=memory_with_retries(1500, share=len(STUDY.folds)),
        runtime=runtime_with_retries(15, share=2),
    params:
        recipe=step_versions.SPLITS,
        card=lambda w: STUDY.split_card(w.dataset, w.scheme),
        drops=lambda w: STUDY.drops(w.dataset),
        scheme="{scheme}",
        fraction="{fraction}",
        fold="{fold}",
    script:
        "../scripts/split_cells.py"


rule split_predefined:
    """Assign the roles of cells where one dataset trains and another tests."""
    input:
        train_cells="results/cells/{dataset}.csv",
        test_cells=lambda w: f"results/cells/{COLORECTAL.test}.csv",
    output:
        split="results/splits/{dataset}/predefined/fraction=1.0/fold=0.csv",
        about="results/splits/{dataset}/predefined/fraction=1.0/fold=0.json",
    log:
        "results/logs/split_predefined/{dataset}.log",
    wildcard_constraints:
        dataset=TWO_SETS,
    priority: 1  # much waits for it
    resources:
        mem_mb=memory_with_retries(2000),
        runtime=runtime_with_retries(15, share=2),
    params:
        recipe=step_versions.SPLITS,
        train="{dataset}",
        test=lambda w: COLORECTAL.test,
    script:
        "../scripts/split_predefined.py"


rule split_patients:
    """Draw the patients that train, validate and test in one fold; other cohorts are external."""
    input:
        patients="results/cohorts/{dataset}.patients.csv",
        external=lambda w: [
            f"results/cohorts/{name}.patients.csv" for name in with_external(STUDY, w.dataset)[1:]
        ],
    output:
        split="results/splits/{dataset}/{scheme}/fraction=1.0/fold={fold}.csv",
        about="results/splits/{dataset}/{scheme}/fraction=1.0/fold={fold}.json",
    log:
        "results/logs/split_patients/{dataset}.{scheme}.fold={fold}.log",
    wildcard_constraints:
        scheme=OF_PATIENTS,
    resources:
        mem_mb=memory_with_retries(1500, share=len(STUDY.folds)),
        runtime=runtime_with_retries(10, share=2),
    params:
        recipe=step_versions.COHORTS,
        card=lambda w: without_notes(STUDY.scheme(w.scheme)),
        datasets=lambda w: with_external(STUDY, w.dataset),
        separate=lambda w: STUDY.separate(with_external(STUDY, w.dataset)),
        scheme="{scheme}",
        fold="{fold}",
    script:
        "../scripts/split_patients.py"


rule audit_splits:
    """Measure what leaks from training to test in every fold of a split."""
    input:
        library("audit_splits"),
        cells="results/cells/{dataset}.csv",
        windows="results/audits/{dataset}.windows.csv",
        findings="results/audits/{dataset}.csv",
        splits=expand(
            "results/splits/{{dataset}}/{{scheme}}/fraction={{fraction}}/fold={fold}.csv",
            fold=STUDY.folds,
        ),
    output:
        leakage=expand(
            "results/splits/{{dataset}}/{{scheme}}/fraction={{fraction}}/fold={fold}.leakage.csv",
            fold=STUDY.folds,
        ),
    log:
        "results/logs/audit_splits/{dataset}.{scheme}.fraction={fraction}.log",
    resources:
        mem_mb=memory_with_retries(4000),
        runtime=runtime_with_retries(15, share=2),
    params:
        scheme="{scheme}",
        slides=lambda w: STUDY.dataset(w.dataset).get("slides", "named"),
    script:
        "../scripts/audit_splits.py"
