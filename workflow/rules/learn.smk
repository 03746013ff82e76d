"""
Embeddings and a head become one file of scores per fraction and fold.

INPUT     results/embeddings/{dataset}/{view}/{model}.h5
          results/splits/{dataset}/{scheme}/…                the same files for every head
OUTPUT    results/predictions/{dataset}/{scheme}/view={view}/model={model}/head={head}/fraction={fraction}/fold={fold}.csv
          id, role, label, score (score_{class} of many classes); hashes and versions in a .json beside
          results/models/…                                   as in `train.smk`
"""

from cryotome.study.schemes import SHARED, WHOLE


rule probe:
    """Fit a linear probe or nearest neighbours on frozen embeddings, all folds at once."""
    input:
        library("probe"),
        # what is too far from fp32 is not scored
        lambda w: checks_of_precision(w, w.dataset),
        embeddings="results/embeddings/{dataset}/{view}/{model}.h5",
        cells="results/cells/{dataset}.csv",
        splits=all_folds_of_scheme(
            "results/splits/{dataset}/{scheme}/fraction={fraction}/fold={fold}.csv"
        ),
    output:
        predictions=expand(
            "results/predictions/{{dataset}}/{{scheme}}/view={{view}}/model={{model}}/head={{head}}/fraction={fraction}/fold={fold}.csv",
            fraction=STUDY.fractions,
            fold=STUDY.folds,
        ),
        kept=kept_models(
            expand(
                "results/models/{{dataset}}/{{scheme}}/view={{view}}/model={{model}}/head={{head}}/fraction={fraction}/fold={fold}.safetensors",
                fraction=LARGEST_FRACTION,
                fold=STUDY.folds,
            )
        ),
    log:
        "results/logs/probe/{dataset}.{scheme}.{view}.{model}.{head}.log",
    wildcard_constraints:
        head=STUDY.heads(trains=False),
        scheme=rf"{OF_CELLS}{SHARED}",
    resources:
        mem_mb=memory_with_retries(
            lambda w: 1000 + estimates.estimate_probe_mb(STUDY, [w.dataset], dict(w.items()))
        ),
        runtime=runtime_with_retries(20, share=2),
    params:
        card=lambda w: without_notes(STUDY.head(w.head)),
        datasets={},
        trained_on=SUBJECT,
        model="{model}",
        view="{view}",
    script:
        "../scripts/probe.py"


use rule probe as probe_whole with:
    # schemes that always train on all cells they may: one domain, all but one, matched size
    output:
        predictions=expand(
            "results/predictions/{{dataset}}/{{scheme}}/view={{view}}/model={{model}}/head={{head}}/fraction=1.0/fold={fold}.csv",
            fold=STUDY.folds,
        ),
        kept=kept_models(
            expand(
                "results/models/{{dataset}}/{{scheme}}/view={{view}}/model={{model}}/head={{head}}/fraction=1.0/fold={fold}.safetensors",
                fold=STUDY.folds,
            )
        ),
    log:
        "results/logs/probe_whole/{dataset}.{scheme}.{view}.{model}.{head}.log",
    wildcard_constraints:
        head=STUDY.heads(trains=False),
        scheme=WHOLE,


use rule probe as classify_patches with:
    # trained on one dataset, tested on another
    input:
        library("probe"),
        lambda w: checks_of_precision(w, w.dataset, COLORECTAL.test),
        embeddings=both_sets("results/embeddings/{dataset}/{view}/{model}.h5"),
        cells=both_sets("results/cells/{dataset}.csv"),
        splits="results/splits/{dataset}/predefined/fraction=1.0/fold=0.csv",
    output:
        predictions="results/predictions/{dataset}/predefined/view={view}/model={model}/head={head}/fraction=1.0/fold=0.csv",
        kept=kept_models(
            "results/models/{dataset}/predefined/view={view}/model={model}/head={head}/fraction=1.0/fold=0.safetensors"
        ),
    log:
        "results/logs/classify_patches/{dataset}.{view}.{model}.{head}.log",
    wildcard_constraints:
        head=STUDY.heads(trains=False),
        dataset=TWO_SETS,
    threads: 4
    resources:
        # both sets, one after the other, and what a head makes of them
        mem_mb=memory_with_retries(
            lambda w: 1000
            + estimates.estimate_probe_mb(STUDY, [w.dataset, COLORECTAL.test], dict(w.items()))
            + estimates.estimate_embeddings_mb(STUDY, COLORECTAL.test, w.model)
        ),
        runtime=runtime_with_retries(120),
    params:
        card=lambda w: without_notes(STUDY.head(w.head)),
        datasets=lambda w: class_lists(STUDY, [w.dataset, COLORECTAL.test]),
        trained_on=SUBJECT,
        model="{model}",
        view="{view}",
