"""
A cohort's tables become patients and slides; a slide becomes tiles, and tiles a bag of embeddings.

INPUT     {data_root}/…                                    a table of labels, one of slides, slides
OUTPUT    results/cohorts/{dataset}.patients.csv           PATIENT, TARGET
          results/cohorts/{dataset}.slides.csv             FILENAME, PATIENT
          results/cohorts/{dataset}.excluded.csv           PATIENT, FILENAME, reason
          results/tiles/{dataset}/{tiling}/{slide}.h5      coords (n, 2) int64 · tissue (n,) · jpeg (n,)
          results/tiles/{dataset}/{tiling}/{slide}.png     the tissue and the tiles, for people
          results/tiles/{dataset}/{tiling}.csv             tiles of every slide, or why it has none
          results/bags/{dataset}/{view}/{model}/{slide}.h5     features (n, dim) float32 · coords (n, 2)
"""

from cryotome.data.slides.slide_list import replaces_nothing

# none where the file is missing: that stops no cohort
SLIDE = lambda w: [file for file in [slide_files(w.dataset)[w.slide]] if file]


rule read_cohort:
    """Read a cohort's tables of labels and slides; list who is left out, and why."""
    input:
        labels=lambda w: required_table(STUDY, SITE, w.dataset, "labels"),
        slide_table=lambda w: required_table(STUDY, SITE, w.dataset, "slide_table"),
    output:
        patients="results/cohorts/{dataset}.patients.csv",
        slides="results/cohorts/{dataset}.slides.csv",
        excluded="results/cohorts/{dataset}.excluded.csv",
    log:
        "results/logs/read_cohort/{dataset}.log",
    resources:
        mem_mb=memory_with_retries(2000, share=2),
        runtime=runtime_with_retries(10, share=2),
    params:
        recipe=step_versions.COHORTS,
        card=dataset_card("synthetic images slide_table labels patient expect"),
        dataset="{dataset}",
        at_hand=lambda w: sorted(slide_files(w.dataset)),
    script:
        "../scripts/read_cohort.py"


rule tile_slide:
    """Find the tissue of one slide and the tiles that hold enough of it."""
    input:
        slide=SLIDE,
    output:
        tiles="results/tiles/{dataset}/{tiling}/{slide}.h5",
        picture="results/tiles/{dataset}/{tiling}/{slide}.png",
    log:
        "results/logs/tile_slide/{dataset}.{tiling}.{slide}.log",
    # the second attempt names a slide that crashes the job
    retries: 1
    resources:
        mem_mb=memory_with_retries(3000, share=8),
        runtime=runtime_with_retries(60),
    params:
        recipe=step_versions.TILES,
        card=lambda w: without_notes(tiling_of(STUDY.dataset(w.dataset), w.tiling)),
        dataset="{dataset}",
        name="{slide}",
        partial="results/partial/tile_slide/{dataset}.{tiling}.{slide}",
    script:
        "../scripts/tile_slide.py"


rule list_tiles:
    """List every slide of a cohort: how many tiles it has, or why none."""
    input:
        library("list_tiles"),
        tiles=lambda w: [
            f"results/tiles/{w.dataset}/{w.tiling}/{slide}.h5"
            for slide in labelled_slides(w.dataset)
        ],
    output:
        table="results/tiles/{dataset}/{tiling}.csv",
    log:
        "results/logs/list_tiles/{dataset}.{tiling}.log",
    resources:
        mem_mb=memory_with_retries(1500),
        runtime=runtime_with_retries(15),
    script:
        "../scripts/list_tiles.py"


rule embed_slide:
    """Run a frozen encoder over the tiles of one slide, read straight from it."""
    input:
        lambda w: finetuned_weights(w.model),
        lambda w: replaces_nothing(f"results/bags/{w.dataset}/{w.view}/{w.model}/{w.slide}.h5"),
        tiles="results/tiles/{dataset}/classify/{slide}.h5",
        slides=SLIDE,
    output:
        bags="results/bags/{dataset}/{view}/{model}/{slide}.h5",
    log:
        "results/logs/embed_slide/{dataset}.{view}.{model}.{slide}.log",
    wildcard_constraints:
        dataset=rf"(?!({'|'.join(COHORTS)})(?![a-z0-9_]))[a-z0-9_]+",
    retries: 1
    threads: threads_of("embed_slide")
    resources:
        **gpu_job(
            lambda w: 4000 + 3 * estimates.estimate_network_mb(STUDY, w.model),
            lambda w: estimates.estimate_slide_minutes(STUDY, dict(w.items()), on_gpu=USES_GPU),
        ),
    params:
        recipe=step_versions.BAGS,
        card=lambda w: encoder_card(w.model),
        model="{model}",
        view="{view}",
        partial="results/partial/embed_slide/{dataset}.{view}.{model}",
        batches="results/partial/batches",
    script:
        "../scripts/embed_slide.py"
