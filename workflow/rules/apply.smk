"""
Kept models score the cells of another dataset, which may have no labels.

INPUT     results/models/{dataset}/{scheme}/…              of every fold, see `train.smk`
          results/patches/{target}.h5, or results/embeddings/{target}/{view}/{model}.h5
OUTPUT    results/external/{target}/{dataset}/{scheme}/view={view}/model={model}/head={head}/fraction={fraction}/fold={fold}.csv
          id, label, score; hashes in a .json beside
          results/applied/{target}/{model}.{head}.csv      id, image, slide, x, y, score, score_sd
          results/applied/{target}/{model}.{head}/         a GeoJSON file of each image, for QuPath
"""

from cryotome.study.applications import (
    applications,
    applied_rows,
    applied_run,
    slide_applications,
)

KEPT = "results/models/{w.dataset}/{w.scheme}/view={w.view}/model={w.model}/head={w.head}/fraction={w.fraction}/fold={fold}.safetensors"
NO_SLIDES = "".join(f"(?!{of.target}/)" for of in slide_applications(STUDY)) + "[a-z0-9_]+"
EXTERNAL = "results/external/{of.target}/{of.dataset}/{of.scheme}/view={row.view}/model={row.model}/head={row.head}/fraction={fraction}/fold={fold}.csv"


rule apply_models:
    """Score the cells of another dataset with the kept models of a row, one file a fold."""
    input:
        library("apply_models"),
        lambda w: finetuned_weights(w.model) * (w.view == "patches"),
        lambda w: checks_of_precision(w, *[w.target] * (w.view != "patches")),
        models=lambda w: [KEPT.format(w=w, fold=fold) for fold in STUDY.folds],
        store=lambda w: (
            f"results/patches/{w.target}.h5"
            if w.view == "patches"
            else f"results/embeddings/{w.target}/{w.view}/{w.model}.h5"
        ),
        # of heads that keep a reference to their cells
        fitted_on=lambda w: [f"results/embeddings/{w.dataset}/{w.view}/{w.model}.h5"]
        * (STUDY.head(w.head)["learner"] == "knn"),
        cells="results/cells/{target}.csv",
    output:
        scores=expand(
            "results/external/{{target}}/{{dataset}}/{{scheme}}/view={{view}}/model={{model}}/head={{head}}/fraction={{fraction}}/fold={fold}.csv",
            fold=STUDY.folds,
        ),
    log:
        "results/logs/apply_models/{target}.{dataset}.{scheme}.{view}.{model}.{head}.fraction={fraction}.log",
    wildcard_constraints:
        target=r"[a-z0-9_]+",
    resources:
        **gpu_job(
            lambda w: 4000
            + 2 * estimates.estimate_patches_mb(STUDY, w.target)
            + 3 * estimates.estimate_network_mb(STUDY, w.model),
            120,
            on=lambda w: on_gpu(w) * (w.view == "patches"),
        ),
    params:
        target=lambda w: subject_facts(STUDY, w.target),
        trained=lambda w: w.view == "patches",
    script:
        "../scripts/apply_models.py"


rule merge_applied:
    """Average the scores of all folds' models, and write them for QuPath."""
    input:
        library("merge_applied"),
        scores=lambda w: [
            EXTERNAL.format(of=of, row=row, fraction=fraction, fold=fold)
            for of, row in [applied_run(STUDY, w.target, w.model, w.head)]
            for fraction in largest_fraction(of.scheme)
            for fold in STUDY.folds
        ],
        cells="results/cells/{target}.csv",
    output:
        table="results/applied/{target}/{model}.{head}.csv",
        geojson=directory("results/applied/{target}/{model}.{head}"),
    log:
        "results/logs/merge_applied/{target}.{model}.{head}.log",
    wildcard_constraints:
        target=NO_SLIDES,
    resources:
        **SMALL_JOB,
    params:
        row="{model} + {head}",
        target="{target}",
    script:
        "../scripts/merge_applied.py"
