"""
A slide becomes tiles, tiles become a bag of embeddings: a job per slide.

INPUT     {data_root}/…                                            slides, or invented ones
OUTPUT    results/demo/{cohort}/…                                  invented slides and their tables
          results/tiles/{dataset}/{tiling}/{slide}.h5              coords (n, 2) int64 · tissue (n,) · jpeg (n,) where stored
          results/tiles/{dataset}/{tiling}/{slide}.png             the tissue and the tiles, to look at
          results/tiles/{dataset}/{tiling}.csv                     every slide: its tiles, or why it has none
          results/bags/{dataset}/{view}/{model}/{slide}.h5         features (n, dim) float32 · coords (n, 2)
"""


rule tile_slide:
    """Find the tissue of one slide and the tiles that hold enough of it."""
    input:
        slide=slide_file,
    output:
        tiles="results/tiles/{dataset}/{tiling}/{slide}.h5",
        picture="results/tiles/{dataset}/{tiling}/{slide}.png",
    log:
        "results/logs/tile_slide/{dataset}.{tiling}.{slide}.log",
    # a slide that crashes the job is named by the second attempt
    retries: 1
    conda:
        "../../envs/cryotome.yaml"
    resources:
        mem_mb=grows(3000),
        runtime=lasts(60),
    params:
        recipe=step_versions.TILES,
        card=lambda w: without_notes(tiling_of(STUDY.dataset(w.dataset), w.tiling)),
        dataset="{dataset}",
        name="{slide}",
        partial="results/partial/tile_slide/{dataset}.{tiling}.{slide}",
    script:
        "../scripts/tile_slide.py"


rule list_tiles:
    """List every slide of a cohort: how many tiles it gives, or why none."""
    input:
        library(
            "scripts/list_tiles",
            "cryotome/data/slides/tile_store",
            "cryotome/data/slides/tessellation",
            "cryotome/data/slides/tissue_mask",
            "cryotome/data/slides/histobistro",
            "cryotome/data/image_tags",
            "cryotome/runtime/child_process",
        ),
        tiles=lambda w: [
            f"results/tiles/{w.dataset}/{w.tiling}/{slide}.h5"
            for slide in slides(w.dataset)
        ],
    output:
        table="results/tiles/{dataset}/{tiling}.csv",
    log:
        "results/logs/list_tiles/{dataset}.{tiling}.log",
    conda:
        "../../envs/cryotome.yaml"
    resources:
        mem_mb=grows(1500),
        runtime=lasts(15),
    script:
        "../scripts/list_tiles.py"


rule embed_slide:
    """Run a frozen encoder over the tiles of one slide, read straight from it."""
    input:
        lambda w: made(w.model),
        lambda w: replaces_nothing(
            f"results/bags/{w.dataset}/{w.view}/{w.model}/{w.slide}.h5"
        ),
        tiles="results/tiles/{dataset}/classify/{slide}.h5",
        slides=slide_file,
    output:
        bags="results/bags/{dataset}/{view}/{model}/{slide}.h5",
    log:
        "results/logs/embed_slide/{dataset}.{view}.{model}.{slide}.log",
    benchmark:
        "results/benchmarks/embed_slide/{dataset}.{view}.{model}.{slide}.tsv"
    wildcard_constraints:
        dataset=rf"(?!({'|'.join(COHORTS)})(?![a-z0-9_]))[a-z0-9_]+",
    retries: 1
    conda:
        "../../envs/cryotome.yaml"
    threads: 2
    resources:
        gpu=on_gpu,
        mem_mb=grows(
            lambda w: 4000 + 3 * estimate_network_mb(STUDY, w.model), on=on_gpu
        ),
        runtime=lasts(
            lambda w: estimate_slide_minutes(STUDY, dict(w.items()), on_gpu=USES_GPU),
            on=on_gpu,
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


# Invented cohorts: one job draws the slides of one, and one embeds them all, as their tiles take
# less time than the start of a job.
for name, cohort in COHORTS.items():

    rule:
        name:
            f"make_{name}"
        output:
            slides=[
                f"results/demo/{name}/slides/{slide.name}.tiff"
                for slide in cohort_slides(cohort)
            ],
            labels=f"results/demo/{name}/labels.csv",
            table=f"results/demo/{name}/slides.csv",
        log:
            f"results/logs/make_demo_slides/{name}.log",
        conda:
            "../../envs/cryotome.yaml"
        resources:
            mem_mb=grows(2000),
            runtime=lasts(20),
        params:
            recipe=step_versions.DEMO_SLIDES,
            cohort=name,
        script:
            "../scripts/make_demo_slides.py"

    rule:
        name:
            f"embed_{name}"
        input:
            lambda w: made(w.model),
            lambda w, name=name, cohort=cohort: replaces_nothing(
                *(
                    f"results/bags/{name}/{w.view}/{w.model}/{slide.name}.h5"
                    for slide in cohort_slides(cohort)
                )
            ),
            tiles=[
                f"results/tiles/{name}/classify/{slide.name}.h5"
                for slide in cohort_slides(cohort)
                if slide.label
            ],
            slides=[
                f"results/demo/{name}/slides/{slide.name}.tiff"
                for slide in cohort_slides(cohort)
                if slide.label
            ],
        output:
            bags=[
                f"results/bags/{name}/{{view}}/{{model}}/{slide.name}.h5"
                for slide in cohort_slides(cohort)
                if slide.label
            ],
        log:
            f"results/logs/embed_slide/{name}.{{view}}.{{model}}.log",
        benchmark:
            f"results/benchmarks/embed_slide/{name}.{{view}}.{{model}}.tsv"
        conda:
            "../../envs/cryotome.yaml"
        threads: 2
        resources:
            gpu=on_gpu,
            mem_mb=grows(4000, on=on_gpu),
            runtime=lasts(20, on=on_gpu),
        params:
            recipe=step_versions.BAGS,
            card=lambda w: encoder_card(w.model),
            model="{model}",
            view="{view}",
            partial=f"results/partial/embed_slide/{name}.{{view}}.{{model}}",
            batches="results/partial/batches",
        script:
            "../scripts/embed_slide.py"
