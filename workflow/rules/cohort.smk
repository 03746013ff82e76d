"""
Tables of patients and slides become a labelled cohort; bags of tiles become scores of patients.

INPUT     {data_root}/…                                a table of labels, and perhaps one of slides
          results/bags/{dataset}/{view}/{model}/{slide}.h5     features of the tiles of each slide
OUTPUT    results/cohorts/{dataset}.patients.csv       PATIENT, TARGET
          results/cohorts/{dataset}.slides.csv         FILENAME, PATIENT
          results/cohorts/{dataset}.excluded.csv       PATIENT, FILENAME, reason
          results/splits/{dataset}/{scheme}/fraction=1.0/fold={fold}.csv     id, role
          results/predictions/{dataset}/{scheme}/view={view}/model={model}/head={head}/fraction=1.0/fold={fold}.csv
          results/scores/{dataset}/{scheme}/view={view}/model={model}/head={head}.csv
"""


rule read_cohort:
    """Read a cohort's tables of labels and slides; list who is left out, and why."""
    input:
        labels=lambda w: brought(w.dataset, STUDY.dataset(w.dataset)["labels"]["table"]),
        slide_table=lambda w: [
            path
            for key, table in STUDY.dataset(w.dataset).items()
            if key == "slide_table"
            for path in brought(w.dataset, table)
        ],
    output:
        patients="results/cohorts/{dataset}.patients.csv",
        slides="results/cohorts/{dataset}.slides.csv",
        excluded="results/cohorts/{dataset}.excluded.csv",
    log:
        "results/logs/read_cohort/{dataset}.log",
    conda:
        "../../envs/cryotome.yaml"
    resources:
        mem_mb=grows(2000),
        runtime=lasts(10),
    params:
        recipe=step_versions.COHORTS,
        card=lambda w: without_notes(
            STUDY.dataset(w.dataset),
            *["synthetic", "images", "slide_table", "labels", "patient", "expect"],
        ),
        dataset="{dataset}",
        at_hand=lambda w: sorted(slide_files(w.dataset)),
    script:
        "../scripts/read_cohort.py"


rule split_patients:
    """Draw the patients that train, validate and test in one fold; other cohorts are external."""
    input:
        patients="results/cohorts/{dataset}.patients.csv",
        external=lambda w: [
            f"results/cohorts/{name}.patients.csv" for name in cohorts(w.dataset)[1:]
        ],
    output:
        split="results/splits/{dataset}/{scheme}/fraction=1.0/fold={fold}.csv",
        about="results/splits/{dataset}/{scheme}/fraction=1.0/fold={fold}.json",
    log:
        "results/logs/split_patients/{dataset}.{scheme}.fold={fold}.log",
    wildcard_constraints:
        scheme=OF_PATIENTS,
    conda:
        "../../envs/cryotome.yaml"
    resources:
        mem_mb=grows(1500),
        runtime=lasts(10),
    params:
        recipe=step_versions.COHORTS,
        card=lambda w: without_notes(STUDY.scheme(w.scheme)),
        datasets=lambda w: cohorts(w.dataset),
        separate=lambda w: STUDY.separate(cohorts(w.dataset)),
        scheme="{scheme}",
        fold="{fold}",
    script:
        "../scripts/split_patients.py"


rule train_mil:
    """Train a classifier of patients on the bags of their slides, and score one fold's others."""
    input:
        patients=lambda w: [
            f"results/cohorts/{name}.patients.csv" for name in cohorts(w.dataset)
        ],
        slides=lambda w: [
            f"results/cohorts/{name}.slides.csv" for name in cohorts(w.dataset)
        ],
        bags=bags_of,
        split="results/splits/{dataset}/{scheme}/fraction=1.0/fold={fold}.csv",
    output:
        predictions="results/predictions/{dataset}/{scheme}/view={view}/model={model}/head={head}/fraction=1.0/fold={fold}.csv",
    log:
        "results/logs/train_mil/{dataset}.{scheme}.{view}.{model}.{head}.fold={fold}.log",
    benchmark:
        "results/benchmarks/train_mil/{dataset}.{scheme}.{view}.{model}.{head}.fold={fold}.tsv"
    wildcard_constraints:
        scheme=OF_PATIENTS,
    conda:
        "../../envs/cryotome.yaml"
    # small steps: two threads wait for each other, two folds do not
    threads: 1
    resources:
        gpu=trains_on_gpu,
        mem_mb=grows(
            lambda w: 4000
            + len(bags_of(w)) * estimate_bag_mb(STUDY, w.dataset, w.model),
            on=trains_on_gpu,
        ),
        runtime=lasts(120, on=trains_on_gpu),
    params:
        recipe=step_versions.MIL,
        folders=bag_folders,
        card=lambda w: without_notes(STUDY.head(w.head)),
        model="{model}",
        view="{view}",
        fold="{fold}",
    script:
        "../scripts/train_mil.py"


rule score_patients:
    """Compute every metric per fold on the cohort and outside it, from the predictions alone."""
    input:
        library(
            "scripts/score_patients",
            "cryotome/evaluation/patients",
            "cryotome/core/qualified_names",
            "cryotome/evaluation/statistics/clustered_auroc",
            "cryotome/evaluation/scores",
            "cryotome/evaluation/statistics/slide_pairs",
        ),
        predictions=lambda w: [
            f"results/predictions/{w.dataset}/{w.scheme}/view={w.view}/model={w.model}/head={w.head}/fraction=1.0/fold={fold}.csv"
            for fold in PART.folds
        ],
    output:
        scores="results/scores/{dataset}/{scheme}/view={view}/model={model}/head={head}.csv",
    log:
        "results/logs/score_patients/{dataset}.{scheme}.{view}.{model}.{head}.log",
    wildcard_constraints:
        scheme=OF_PATIENTS,
    conda:
        "../../envs/cryotome.yaml"
    resources:
        mem_mb=grows(2000),
        runtime=lasts(10),
    params:
        cohort="{dataset}",
        external=lambda w: cohorts(w.dataset)[1:],
    script:
        "../scripts/score_patients.py"
