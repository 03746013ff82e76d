"""
The context study: what a smaller crop, or another pooling, costs each model on the same cells.

INPUT     results/predictions/{dataset}_{n}px/…model={model}_pool_{pooling}/…    crops and poolings
OUTPUT    results/studies/{study}/context.csv, .pdf, .png, resolution.pdf, .png
"""

from cryotome.study.gather_facts import context_facts


rule context_curves:
    """Draw AUROC against the side of the crop, for every pooling of every model."""
    input:
        library("context_curves"),
        lambda w: [
            file for dataset in STUDY.datasets for file in require_images(STUDY, SITE, dataset)
        ],
        cells=expand("results/cells/{dataset}.csv", dataset=STUDY.datasets),
        predictions=all_runs(STUDY.blocks, PREDICTIONS),
        calibration=CALIBRATION,
    output:
        **figure_files("results/studies/{study}/context"),
    log:
        "results/logs/context_curves/{study}.log",
    resources:
        **LARGE_JOB,
    params:
        **ROW_FACTS,
        sweep=lambda w: asdict(context_facts(STUDY)),
    script:
        "../scripts/context_curves.py"


rule resolution_curves:
    """Draw AUROC against resolution at equal field of view, and the other way round."""
    input:
        library("resolution_curves"),
        table="results/studies/{study}/context.csv",
    output:
        pdf=reported("results/studies/{study}/resolution.pdf"),
        png=reported("results/studies/{study}/resolution.png"),
    log:
        "results/logs/resolution_curves/{study}.log",
    resources:
        **SMALL_JOB,
    params:
        **ROW_FACTS,
        sweep=lambda w: asdict(context_facts(STUDY)),
    script:
        "../scripts/resolution_curves.py"
