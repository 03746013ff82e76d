"""
Networks are trained on patches; models of the largest training fraction are kept.

INPUT     results/patches/{dataset}.h5, results/cells/{dataset}.csv, results/splits/…
OUTPUT    results/predictions/{dataset}/{scheme}/view=patches/…     as in `learn.smk`
          results/curves/{dataset}/{scheme}/…                       its learning curve
          results/models/{dataset}/{scheme}/view={view}/model={model}/head={head}/fraction={fraction}/fold={fold}.safetensors
          weights or coefficients and their record, of every rule that trains
"""

from cryotome.study.rule_inputs import subject_facts

# none where the study says `keep: false`
kept_models = lambda paths: paths if STUDY.config["keep"] else []
LARGEST_FRACTION = max(STUDY.fractions, key=float)
# trainings of these fractions keep their network; without `keep` one rule is for every fraction
OF_LARGEST = rf"{re.escape(LARGEST_FRACTION)}|1\.0" if STUDY.config["keep"] else "[0-9.]+"
OF_SMALLER = rf"(?!({OF_LARGEST})/)[0-9.]+"
# what a kept model says of its data; with the argument `output` Snakemake does not record it, so
# that a renamed class trains nothing again
SUBJECT = lambda w, output: subject_facts(STUDY, w.dataset)


rule train_endtoend:
    """Train a network on patches; keep the best and the last checkpoint's scores, and the curve."""
    input:
        lambda w: finetuned_weights(w.model),
        patches="results/patches/{dataset}.h5",
        cells="results/cells/{dataset}.csv",
        split="results/splits/{dataset}/{scheme}/fraction={fraction}/fold={fold}.csv",
    output:
        best="results/predictions/{dataset}/{scheme}/view=patches/model={model}/head={head}/fraction={fraction}/fold={fold}.csv",
        last="results/predictions/{dataset}/{scheme}/view=patches/model={model}/head={head}_last/fraction={fraction}/fold={fold}.csv",
        curve="results/curves/{dataset}/{scheme}/model={model}/head={head}/fraction={fraction}/fold={fold}.csv",
        picture="results/curves/{dataset}/{scheme}/model={model}/head={head}/fraction={fraction}/fold={fold}.png",
        kept=kept_models(
            "results/models/{dataset}/{scheme}/view=patches/model={model}/head={head}/fraction={fraction}/fold={fold}.safetensors"
        ),
    log:
        "results/logs/train_endtoend/{dataset}.{scheme}.{model}.{head}.fraction={fraction}.fold={fold}.log",
    wildcard_constraints:
        head=STUDY.heads(trains=True),
        fraction=OF_LARGEST,
    resources:
        **gpu_job(
            lambda w: 6000 + 2 * estimates.estimate_patches_mb(STUDY, w.dataset),
            lambda w: estimates.estimate_train_minutes(STUDY, dict(w.items()), on_gpu=USES_GPU),
        ),
    params:
        recipe=step_versions.ENDTOEND,
        card=lambda w: without_notes(STUDY.head(w.head)),
        encoder=lambda w: encoder_card(w.model),
        model="{model}",
        fold="{fold}",
        synthetic=lambda w: "synthetic" in STUDY.dataset(w.dataset),
        trained_on=SUBJECT,
        partial="results/partial/train_endtoend/{dataset}.{scheme}.{model}.{head}.fraction={fraction}.fold={fold}",
    script:
        "../scripts/train_endtoend.py"


use rule train_endtoend as train_endtoend_smaller with:
    # no network is kept of a smaller training fraction
    output:
        best="results/predictions/{dataset}/{scheme}/view=patches/model={model}/head={head}/fraction={fraction}/fold={fold}.csv",
        last="results/predictions/{dataset}/{scheme}/view=patches/model={model}/head={head}_last/fraction={fraction}/fold={fold}.csv",
        curve="results/curves/{dataset}/{scheme}/model={model}/head={head}/fraction={fraction}/fold={fold}.csv",
        picture="results/curves/{dataset}/{scheme}/model={model}/head={head}/fraction={fraction}/fold={fold}.png",
        kept=[],
    wildcard_constraints:
        head=STUDY.heads(trains=True),
        fraction=OF_SMALLER,
