"""
Kept classifiers of patients score the slides of another cohort, which may have no labels.

INPUT     results/models/{dataset}/{scheme}/…      of every fold, see `finetune.smk`
          results/bags/{target}/{view}/{model}/{slide}.h5
OUTPUT    results/applied/{target}/{model}.{head}.csv    slide, tiles, score, score_sd, tiles_of_half, status, reason
          results/applied/{target}/{model}.{head}/       tiles of each slide for QuPath, and a heat map
"""

from cryotome.core.cards import tiling_of
from cryotome.study.applications import slide_applications, synthetic_notice

KEPT_OF_PATIENTS = "results/models/{of.dataset}/{of.scheme}/view={view}/model={model}/head={head}/fraction=1.0/fold={fold}.safetensors"
ON_SLIDES = {of.target: of for of in slide_applications(STUDY)}
# the target's slides that are on disk, by name
TARGET_SLIDES = lambda w: {name: file for name, file in slide_files(w.target).items() if file}


rule apply_to_slides:
    """Score the slides of another cohort with the kept models of a row; show what they attend to."""
    input:
        library("apply_to_slides"),
        models=lambda w: [
            KEPT_OF_PATIENTS.format(of=ON_SLIDES[w.target], view=STUDY.view, fold=fold, **w)
            for fold in STUDY.folds
        ],
        bags=lambda w: [
            f"results/bags/{w.target}/{STUDY.view}/{w.model}/{slide}.h5"
            for slide in labelled_slides(w.target)
        ],
        slides=lambda w: list(TARGET_SLIDES(w).values()),
    output:
        table="results/applied/{target}/{model}.{head}.csv",
        attention=directory("results/applied/{target}/{model}.{head}"),
    log:
        "results/logs/apply_to_slides/{target}.{model}.{head}.log",
    wildcard_constraints:
        target="|".join(ON_SLIDES) or "(?!)",
    resources:
        mem_mb=memory_with_retries(6000),
        runtime=runtime_with_retries(120),
    params:
        tiling=lambda w: tiling_of(STUDY.dataset(w.target), "classify")["tiling"],
        names=lambda w: list(TARGET_SLIDES(w)),
        target="{target}",
        row="{model} + {head}",
        notice=lambda w: synthetic_notice(STUDY, w.target, ON_SLIDES[w.target].dataset),
    script:
        "../scripts/apply_to_slides.py"
