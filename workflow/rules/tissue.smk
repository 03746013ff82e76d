"""
Patches of many classes: one dataset trains, another tests, as their authors part them.

INPUT     results/embeddings/{dataset}/{view}/{model}.h5      of the training and of the test set
          results/cells/{dataset}.csv
OUTPUT    results/splits/{dataset}/given/fraction=1.0/fold=0.csv       id, role; an id is {dataset}:{id of the cell}
          results/predictions/{dataset}/given/view={view}/model={model}/head={head}/fraction=1.0/fold=0.csv
          id, role, label, score_{class} of every class
          results/scores/{dataset}/given/view={view}/model={model}/head={head}.csv     metric, n, value, low, high
          results/scores/{dataset}/given/view={view}/model={model}/head={head}.confusion.csv
"""


rule make_demo_tissue:
    """Invent patches of nine tissue classes, in folders as those of NCT-CRC-HE."""
    output:
        training="results/demo/tissue/training.csv",
        external="results/demo/tissue/external.csv",
    log:
        "results/logs/make_demo_tissue/demo.log",
    conda:
        "../../envs/cryotome.yaml"
    resources:
        mem_mb=grows(2000),
        runtime=lasts(20),
    params:
        recipe=step_versions.DEMO,
    script:
        "../scripts/make_demo_tissue.py"


rule split_given:
    """Say which cells train and which test, where two datasets are given as such."""
    input:
        train_cells="results/cells/{dataset}.csv",
        test_cells=lambda w: f"results/cells/{PART.test}.csv",
    output:
        split="results/splits/{dataset}/given/fraction=1.0/fold=0.csv",
        about="results/splits/{dataset}/given/fraction=1.0/fold=0.json",
    log:
        "results/logs/split_given/{dataset}.log",
    conda:
        "../../envs/cryotome.yaml"
    resources:
        mem_mb=grows(2000),
        runtime=lasts(15, share=2),
    params:
        recipe=step_versions.SPLITS,
        train="{dataset}",
        test=lambda w: PART.test,
    script:
        "../scripts/split_given.py"


rule classify_patches:
    """Fit a head on the patches of one dataset, and score those of another."""
    input:
        library(
            "scripts/classify_patches",
            "cryotome/learners/probes/two_datasets",
            "cryotome/core/qualified_names",
            "cryotome/evaluation/multiclass",
            "cryotome/evaluation/statistics/clustered_auroc",
            "cryotome/learners/probes/probe",
            "cryotome/learners/probes/linear",
            "cryotome/learners/probes/ridge_cv",
            "cryotome/learners/probes/neighbours",
            "cryotome/learners/probes/logistic",
            "cryotome/learners/probes/lbfgs",
            "cryotome/learners/probes/objective",
            "cryotome/learners/probes/fold_batches",
            "cryotome/learners/predictions",
            "cryotome/encoders/embedding_store",
            "cryotome/data/splits/cells",
        ),
        # what is too far from fp32 is not scored; a new check alone refits nothing
        lambda w: ancient(
            given("results/embeddings/{dataset}/{view}/{model}.parity.csv")(w)
            if STUDY.is_reduced_precision(w.model, w.view)
            else []
        ),
        embeddings=given("results/embeddings/{dataset}/{view}/{model}.h5"),
        cells=given("results/cells/{dataset}.csv"),
        split="results/splits/{dataset}/given/fraction=1.0/fold=0.csv",
    output:
        predictions="results/predictions/{dataset}/given/view={view}/model={model}/head={head}/fraction=1.0/fold=0.csv",
    log:
        "results/logs/classify_patches/{dataset}.{view}.{model}.{head}.log",
    benchmark:
        "results/benchmarks/classify_patches/{dataset}.{view}.{model}.{head}.tsv"
    wildcard_constraints:
        head=STUDY.heads(trains=False),
    conda:
        "../../envs/cryotome.yaml"
    threads: 4
    resources:
        # both sets, one below the other, and what a head makes of them
        mem_mb=grows(
            lambda w: 1000
            + estimate_probe_mb(STUDY, [w.dataset, PART.test], dict(w.items()))
            + estimate_embeddings_mb(STUDY, PART.test, w.model)
        ),
        runtime=lasts(120),
    params:
        card=lambda w: without_notes(STUDY.head(w.head)),
        datasets=given_classes,
        model="{model}",
        view="{view}",
    script:
        "../scripts/classify_patches.py"


rule score_patches:
    """Measure the predictions of a given test set, with intervals and a table of confusions."""
    input:
        library(
            "scripts/score_patches",
            "cryotome/evaluation/multiclass",
            "cryotome/evaluation/statistics/clustered_auroc",
        ),
        cells=given("results/cells/{dataset}.csv"),
        predictions="results/predictions/{dataset}/given/view={view}/model={model}/head={head}/fraction=1.0/fold=0.csv",
    output:
        scores="results/scores/{dataset}/given/view={view}/model={model}/head={head}.csv",
        table="results/scores/{dataset}/given/view={view}/model={model}/head={head}.confusion.csv",
    log:
        "results/logs/score_patches/{dataset}.{view}.{model}.{head}.log",
    conda:
        "../../envs/cryotome.yaml"
    resources:
        mem_mb=grows(2000),
        runtime=lasts(15, share=2),
    params:
        datasets=given_classes,
    script:
        "../scripts/score_patches.py"
