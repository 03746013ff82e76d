"""
A model and a head become one file of scores per fraction and fold.

INPUT     results/embeddings/{dataset}/{view}/{model}.h5     for heads that fit embeddings
          results/patches/{dataset}.h5                       for heads that train a network
          results/splits/{dataset}/{scheme}/…                the same files for every head
OUTPUT    results/predictions/{dataset}/{scheme}/view={view}/model={model}/head={head}/fraction={fraction}/fold={fold}.csv
          id, role, label, score, and beside it a .json with hashes, recipe and versions
          results/curves/{dataset}/{scheme}/model={model}/head={head}/fraction={fraction}/fold={fold}.csv, .png
"""


rule probe:
    """Fit a linear probe or nearest neighbours on frozen embeddings, every fraction and fold at once."""
    input:
        library(
            "scripts/probe",
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
            expand(
                "results/embeddings/{dataset}/{view}/{model}.parity.csv",
                **w,
            )
            if STUDY.is_reduced_precision(w.model, w.view)
            else []
        ),
        embeddings="results/embeddings/{dataset}/{view}/{model}.h5",
        cells="results/cells/{dataset}.csv",
        splits=drawn(
            "results/splits/{dataset}/{scheme}/fraction={fraction}/fold={fold}.csv"
        ),
    output:
        predictions=expand(
            "results/predictions/{{dataset}}/{{scheme}}/view={{view}}/model={{model}}/head={{head}}/fraction={fraction}/fold={fold}.csv",
            fraction=STUDY.fractions,
            fold=STUDY.folds,
        ),
    log:
        "results/logs/probe/{dataset}.{scheme}.{view}.{model}.{head}.log",
    wildcard_constraints:
        head=STUDY.heads(trains=False),
        scheme=rf"{OF_CELLS}{SHARED}",
    conda:
        "../../envs/cryotome.yaml"
    resources:
        mem_mb=grows(
            lambda w: 1000 + estimate_probe_mb(STUDY, [w.dataset], dict(w.items()))
        ),
        runtime=lasts(20, share=2),
    params:
        card=lambda w: without_notes(STUDY.head(w.head)),
        model="{model}",
        view="{view}",
    script:
        "../scripts/probe.py"


use rule probe as probe_whole with:
    # schemes that always train on all they may: one domain, all but one, the ladder's size
    output:
        predictions=expand(
            "results/predictions/{{dataset}}/{{scheme}}/view={{view}}/model={{model}}/head={{head}}/fraction=1.0/fold={fold}.csv",
            fold=STUDY.folds,
        ),
    log:
        "results/logs/probe_whole/{dataset}.{scheme}.{view}.{model}.{head}.log",
    wildcard_constraints:
        head=STUDY.heads(trains=False),
        scheme=WHOLE,


rule train_endtoend:
    """Train a network on patches; keep the best and the last checkpoint's scores, and the curve."""
    input:
        lambda w: made(w.model),
        patches="results/patches/{dataset}.h5",
        cells="results/cells/{dataset}.csv",
        split="results/splits/{dataset}/{scheme}/fraction={fraction}/fold={fold}.csv",
    output:
        best="results/predictions/{dataset}/{scheme}/view=patches/model={model}/head={head}/fraction={fraction}/fold={fold}.csv",
        last="results/predictions/{dataset}/{scheme}/view=patches/model={model}/head={head}_last/fraction={fraction}/fold={fold}.csv",
        curve="results/curves/{dataset}/{scheme}/model={model}/head={head}/fraction={fraction}/fold={fold}.csv",
        picture="results/curves/{dataset}/{scheme}/model={model}/head={head}/fraction={fraction}/fold={fold}.png",
    log:
        "results/logs/train_endtoend/{dataset}.{scheme}.{model}.{head}.fraction={fraction}.fold={fold}.log",
    benchmark:
        "results/benchmarks/train_endtoend/{dataset}.{scheme}.{model}.{head}.fraction={fraction}.fold={fold}.tsv"
    wildcard_constraints:
        head=STUDY.heads(trains=True),
    conda:
        "../../envs/cryotome.yaml"
    resources:
        gpu=on_gpu,
        mem_mb=grows(
            lambda w: 6000 + 2 * estimate_patches_mb(STUDY, w.dataset), on=on_gpu
        ),
        runtime=lasts(
            lambda w: estimate_train_minutes(STUDY, dict(w.items()), on_gpu=USES_GPU),
            on=on_gpu,
        ),
    params:
        recipe=step_versions.ENDTOEND,
        card=lambda w: without_notes(STUDY.head(w.head)),
        encoder=lambda w: encoder_card(w.model),
        model="{model}",
        fold="{fold}",
        synthetic=lambda w: "synthetic" in STUDY.dataset(w.dataset),
        partial="results/partial/train_endtoend/{dataset}.{scheme}.{model}.{head}.fraction={fraction}.fold={fold}",
    script:
        "../scripts/train_endtoend.py"
