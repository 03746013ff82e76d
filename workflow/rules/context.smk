"""
The context study: what a smaller crop, or another pooling, costs each model, on the same cells.

INPUT     results/predictions/{dataset}_{n}px/…model={model}_pool_{pooling}/…    crops and poolings of the study's sweep
OUTPUT    results/studies/{study}/context.csv, .pdf, .png
"""


rule context:
    """Draw AUROC against the side of the crop, for every pooling of every model."""
    input:
        library(
            "scripts/context",
            "cryotome/evaluation/context",
            "cryotome/evaluation/statistics/comparisons",
            "cryotome/evaluation/statistics/clustered_auroc",
            "cryotome/evaluation/statistics/paired_scores",
            "cryotome/evaluation/statistics/slide_pairs",
            "cryotome/evaluation/scores",
            "cryotome/report/figures/ganz2024",
            "cryotome/study/variants",
        ),
        lambda w: [
            file
            for dataset in STUDY.datasets
            for file in require_images(STUDY, SITE, dataset)
        ],
        cells=expand("results/cells/{dataset}.csv", dataset=STUDY.datasets),
        predictions=studied(
            STUDY.blocks,
            "results/predictions/{dataset}/{scheme}/view={row.view}/model={row.model}/head={row.head}/fraction={fraction}/fold={fold}.csv",
        ),
        calibration=CALIBRATION,
    output:
        table=reported(
            "results/studies/{study}/context.csv", "Context study", "Crop and pooling"
        ),
        pdf=reported(
            "results/studies/{study}/context.pdf", "Context study", "Crop and pooling"
        ),
        png=reported(
            "results/studies/{study}/context.png", "Context study", "Crop and pooling"
        ),
    log:
        "results/logs/context/{study}.log",
    conda:
        "../../envs/cryotome.yaml"
    resources:
        mem_mb=grows(4000, share=6),
        runtime=lasts(40, share=4),
    params:
        rows=lambda w: table_facts(STUDY),
        sweep=lambda w: context_facts(STUDY),
        study="{study}",
    script:
        "../scripts/context.py"
