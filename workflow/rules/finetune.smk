"""
A released encoder becomes one of this tissue; from here on it is an encoder like any other.

INPUT     results/patches/{dataset}.h5, results/cells/{dataset}.csv    of the dataset that the recipe names
          results/tiles/{dataset}/finetune/{slide}.h5                  where that is a cohort of slides
OUTPUT    results/encoders/{finetune}.pt                               the teacher, as timm names its weights
          results/encoders/{finetune}/{iteration}.pt                   on the way
          results/encoders/{finetune}.json, .csv, .png                 what it cost, and its course
"""


def tissue(w):
    """Return the patches that an encoder is finetuned on: one store, or one a slide."""
    dataset = STUDY.finetuning(w.finetune)["dataset"]
    if STUDY.dataset(dataset)["reader"] != "slides":
        return [f"results/patches/{dataset}.h5"]
    return [f"results/tiles/{dataset}/finetune/{slide}.h5" for slide in slide_files(dataset)]


def split_finetuned(w):
    """Return the split whose training part alone is seen, where a recipe says so: that of fold 0."""
    card = STUDY.finetuning(w.finetune)
    of_slides = STUDY.dataset(card["dataset"])["reader"] == "slides"
    scheme = "patient_folds" if of_slides else "slide_grouped"
    split = f"results/splits/{card['dataset']}/{scheme}/fraction=1.0/fold=0.csv"
    return [split] * (card["split"] == "train_folds")


def known_of_tissue(w):
    """Return the table that says the labels of patches, or the patients of slides."""
    dataset = STUDY.finetuning(w.finetune)["dataset"]
    if STUDY.dataset(dataset)["reader"] != "slides":
        return [f"results/cells/{dataset}.csv"]
    return [f"results/cohorts/{dataset}.slides.csv"] * bool(split_finetuned(w))


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
    threads: 16
    resources:
        gpu=int(USES_GPU),
        mem_mb=grows(lambda w: finetune_mb(STUDY, w.finetune), on=lambda w: USES_GPU),
        runtime=lasts(
            lambda w: finetune_minutes(STUDY, w.finetune, on_gpu=USES_GPU),
            on=lambda w: USES_GPU,
        ),
    params:
        recipe=recipes.FINETUNE,
        card=lambda w: facts(STUDY.finetuning(w.finetune)),
        base=lambda w: encoder_card(STUDY.finetuning(w.finetune)["base"]),
        model="{finetune}",
        synthetic=lambda w: "synthetic"
        in STUDY.dataset(STUDY.finetuning(w.finetune)["dataset"]),
        partial="results/partial/finetune_dinov2/{finetune}",
    script:
        "../scripts/finetune_dinov2.py"
