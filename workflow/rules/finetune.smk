"""
Networks are trained on tissue without labels, and on the bags of patients.

INPUT     results/patches/{dataset}.h5, results/cells/{dataset}.csv, results/tiles/…, results/bags/…
OUTPUT    results/encoders/{finetune}.pt, /{iteration}.pt       the teacher, with timm's names of weights
          results/encoders/{finetune}.json, .csv, .png          its cost and learning curve
          results/predictions/…, results/models/…               of patients; as in `learn.smk`
"""

SOURCES = lambda w: bag_sources(w.dataset, w.view, w.model)
BAGS = lambda w: [bag for source in SOURCES(w).values() for bag in source.files]
# none for a mean and a logistic regression
MIL_ON_GPU = lambda w: on_gpu(w) * (STUDY.head(w.head)["aggregator"] != "mean_pool")


rule finetune_dinov2:
    """Continue DINOv2's pretraining on tissue; export the teacher at intervals and at the end."""
    input:
        lambda w: finetuned_weights(STUDY.finetuning(w.finetune)["base"]),
        patches=lambda w: finetuning_inputs(w)[0],
        cells=lambda w: finetuning_inputs(w)[1],
        split=lambda w: finetuning_inputs(w)[2],
    output:
        weights="results/encoders/{finetune}.pt",
        about="results/encoders/{finetune}.json",
        curve="results/encoders/{finetune}.csv",
        picture="results/encoders/{finetune}.png",
        checkpoints=directory("results/encoders/{finetune}"),
    log:
        "results/logs/finetune_dinov2/{finetune}.log",
    priority: 1  # much waits for it
    threads: threads_of("finetune_dinov2")  # --set-threads finetune_dinov2=16 for slides
    resources:
        **gpu_job(
            lambda w: estimates.estimate_finetune_mb(STUDY, w.finetune),
            lambda w: estimates.estimate_finetune_minutes(STUDY, w.finetune, on_gpu=USES_GPU),
            on=lambda w: int(USES_GPU),
        ),
    params:
        recipe=step_versions.FINETUNE,
        card=lambda w: without_notes(STUDY.finetuning(w.finetune)),
        base=lambda w: encoder_card(STUDY.finetuning(w.finetune)["base"]),
        model="{finetune}",
        synthetic=lambda w: "synthetic" in STUDY.dataset(STUDY.finetuning(w.finetune)["dataset"]),
        partial="results/partial/finetune_dinov2/{finetune}",
    script:
        "../scripts/finetune_dinov2.py"


rule train_mil:
    """Train a classifier of patients on the bags of their slides, and score one fold's others."""
    input:
        patients=lambda w: [f"results/cohorts/{name}.patients.csv" for name in SOURCES(w)],
        slides=lambda w: [f"results/cohorts/{name}.slides.csv" for name in SOURCES(w)],
        bags=BAGS,
        split="results/splits/{dataset}/{scheme}/fraction=1.0/fold={fold}.csv",
    output:
        predictions="results/predictions/{dataset}/{scheme}/view={view}/model={model}/head={head}/fraction=1.0/fold={fold}.csv",
        kept=kept_models(
            "results/models/{dataset}/{scheme}/view={view}/model={model}/head={head}/fraction=1.0/fold={fold}.safetensors"
        ),
    log:
        "results/logs/train_mil/{dataset}.{scheme}.{view}.{model}.{head}.fold={fold}.log",
    wildcard_constraints:
        scheme=OF_PATIENTS,
    # small steps: two threads wait for each other, two folds do not
    threads: 1
    resources:
        **gpu_job(
            lambda w: 4000 + len(BAGS(w)) * estimates.estimate_bag_mb(STUDY, w.dataset, w.model),
            120,
            on=MIL_ON_GPU,
        ),
    params:
        recipe=step_versions.MIL,
        folders=lambda w: json.dumps(
            {n: {"folder": s.folder, "given": s.given} for n, s in SOURCES(w).items()}
        ),
        card=lambda w: without_notes(STUDY.head(w.head)),
        trained_on=lambda w, output: subject_facts(STUDY, w.dataset, encoder_card(w.model)),
        model="{model}",
        view="{view}",
        fold="{fold}",
    script:
        "../scripts/train_mil.py"
