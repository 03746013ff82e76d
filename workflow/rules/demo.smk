"""
Synthetic tissue with a known signal: what the demo study reads in place of downloads.

OUTPUT    results/demo/rois/…, results/demo/slides/…    mitoses, as MIDOG and CCMCT annotate them
          results/demo/tissue/…                         patches of nine classes
          results/demo/{cohort}/…                       slides of a cohort, and its tables
          results/bags/{cohort}/{view}/{model}/…        as of `embed_slide`
"""


rule make_demo:
    """Make synthetic tissue with a known signal, in the formats of MIDOG and CCMCT."""
    output:
        rois="results/demo/rois/annotations.json",
        slides="results/demo/slides/annotations.sqlite",
    log:
        "results/logs/make_demo/demo.log",
    resources:
        mem_mb=memory_with_retries(2000),
        runtime=runtime_with_retries(20),
    params:
        recipe=step_versions.DEMO,
    script:
        "../scripts/make_demo.py"


rule make_demo_tissue:
    """Make synthetic patches of nine tissue classes, in folders like those of NCT-CRC-HE."""
    output:
        training="results/demo/tissue/training.csv",
        external="results/demo/tissue/external.csv",
    log:
        "results/logs/make_demo_tissue/demo.log",
    priority: 1  # much waits for it
    resources:
        mem_mb=memory_with_retries(2000),
        runtime=runtime_with_retries(20),
    params:
        recipe=step_versions.DEMO,
    script:
        "../scripts/make_demo_tissue.py"


# One job draws the slides of a synthetic cohort, and one embeds them all: their tiles take less
# time than the start of a job.
for name, cohort in COHORTS.items():

    rule:
        name:
            f"make_{name}"
        output:
            slides=[f"results/demo/{name}/slides/{s.name}.tiff" for s in cohort_slides(cohort)],
            labels=f"results/demo/{name}/labels.csv",
            table=f"results/demo/{name}/slides.csv",
        log:
            f"results/logs/make_demo_slides/{name}.log",
        resources:
            mem_mb=memory_with_retries(2000),
            runtime=runtime_with_retries(20),
        params:
            recipe=step_versions.DEMO_SLIDES,
            cohort=name,
        script:
            "../scripts/make_demo_slides.py"

    labelled = [slide.name for slide in cohort_slides(cohort) if slide.label]

    rule:
        name:
            f"embed_{name}"
        input:
            lambda w: finetuned_weights(w.model),
            lambda w, name=name, cohort=cohort: replaces_nothing(
                *(
                    f"results/bags/{name}/{w.view}/{w.model}/{slide.name}.h5"
                    for slide in cohort_slides(cohort)
                )
            ),
            tiles=[f"results/tiles/{name}/classify/{slide}.h5" for slide in labelled],
            slides=[f"results/demo/{name}/slides/{slide}.tiff" for slide in labelled],
        output:
            bags=[f"results/bags/{name}/{{view}}/{{model}}/{slide}.h5" for slide in labelled],
        log:
            f"results/logs/embed_slide/{name}.{{view}}.{{model}}.log",
        resources:
            **gpu_job(4000, 20),
        params:
            recipe=step_versions.BAGS,
            card=lambda w: encoder_card(w.model),
            model="{model}",
            view="{view}",
            partial=f"results/partial/embed_slide/{name}.{{view}}.{{model}}",
            batches="results/partial/batches",
        script:
            "../scripts/embed_slide.py"
