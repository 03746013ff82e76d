"""
A released encoder becomes one of this tissue; from here on it is an encoder like any other.

INPUT     results/patches/{dataset}.h5, results/cells/{dataset}.csv    of the dataset that the recipe names
          results/tiles/{dataset}/finetune/{slide}.h5                  where that is a cohort of slides
OUTPUT    results/encoders/{finetune}.pt                               the teacher, as timm names its weights
          results/encoders/{finetune}/{iteration}.pt                   on the way
          results/encoders/{finetune}.json, .csv, .png                 what it cost, and its course
"""


rule finetune_dinov2:
    """Go on with DINOv2's pretraining on tissue, and export the teacher on the way."""
    input:
        lambda w: made(STUDY.finetuning(w.finetune)["base"]),
        patches=tissue,
        cells=known_of_tissue,
        split=split_finetuned,
    output:
        weights="results/encoders/{finetune}.pt",
        about="results/encoders/{finetune}.json",
        curve="results/encoders/{finetune}.csv",
        picture="results/encoders/{finetune}.png",
        checkpoints=directory("results/encoders/{finetune}"),
    log:
        "results/logs/finetune_dinov2/{finetune}.log",
    benchmark:
        "results/benchmarks/finetune_dinov2/{finetune}.tsv"
    conda:
        "../../envs/cryotome.yaml"
    # as many everywhere, or the bits differ; --set-threads finetune_dinov2=16 for tiles of slides
    threads: 2
    resources:
        gpu=int(USES_GPU),
        mem_mb=grows(
            lambda w: estimate_finetune_mb(STUDY, w.finetune), on=lambda w: USES_GPU
        ),
        runtime=lasts(
            lambda w: estimate_finetune_minutes(STUDY, w.finetune, on_gpu=USES_GPU),
            on=lambda w: USES_GPU,
        ),
    params:
        recipe=step_versions.FINETUNE,
        card=lambda w: without_notes(STUDY.finetuning(w.finetune)),
        base=lambda w: encoder_card(STUDY.finetuning(w.finetune)["base"]),
        model="{finetune}",
        synthetic=lambda w: "synthetic"
        in STUDY.dataset(STUDY.finetuning(w.finetune)["dataset"]),
        partial="results/partial/finetune_dinov2/{finetune}",
    script:
        "../scripts/finetune_dinov2.py"
