"""
What a pathologist asks: counts per region, false alarms per mm², and whether scores are chances.

INPUT     results/predictions/…, results/splits/…    at the largest fraction of each scheme
OUTPUT    results/studies/{study}/reliability.*, calibration.csv, operating.csv
          results/studies/{study}/counts.csv, agreement.csv, bland_altman.*
"""


rule for_pathologist:
    """Count mitoses per region, ration false positives, and ask whether scores are probabilities."""
    input:
        library(
            "scripts/for_pathologist",
            "cryotome/evaluation/clinical/row_summary",
            "cryotome/report/figures/clinical",
            "cryotome/evaluation/clinical/calibration",
            "cryotome/evaluation/clinical/mitotic_counts",
            "cryotome/evaluation/clinical/operating_points",
            "cryotome/evaluation/clinical/regions",
            "cryotome/report/figures/ganz2024",
            "cryotome/evaluation/scores",
            "cryotome/evaluation/statistics/slide_pairs",
            "cryotome/data/splits/cells",
            "cryotome/evaluation/statistics/clustered_auroc",
        ),
        cells=expand("results/cells/{dataset}.csv", dataset=STUDY.datasets),
        # where nothing is dropped, an audit made again changes nothing here
        audits=[
            (str if STUDY.drops(dataset) else ancient)(f"results/audits/{dataset}.csv")
            for dataset in STUDY.datasets
        ],
        splits=studied(
            STUDY.blocks,
            "results/splits/{dataset}/{scheme}/fraction={fraction}/fold={fold}.csv",
            fractions=whole,
        ),
        predictions=studied(
            STUDY.blocks,
            "results/predictions/{dataset}/{scheme}/view={row.view}/model={row.model}/head={row.head}/fraction={fraction}/fold={fold}.csv",
            fractions=whole,
        ),
    output:
        tables=[
            reported(f"results/studies/{{study}}/{table}.csv", CLINIC, what)
            for table, what in {
                "reliability": "Reliability",
                "calibration": "Calibration",
                "counts": "Counts of regions",
                "agreement": "Limits of agreement",
                "operating": "Operating points",
            }.items()
        ],
        reliability=[
            reported(
                f"results/studies/{{study}}/reliability.{kind}", CLINIC, "Reliability"
            )
            for kind in ("pdf", "png")
        ],
        bland_altman=[
            reported(
                f"results/studies/{{study}}/bland_altman.{kind}", CLINIC, "Counts"
            )
            for kind in ("pdf", "png")
        ],
    log:
        "results/logs/for_pathologist/{study}.log",
    conda:
        "../../envs/cryotome.yaml"
    resources:
        mem_mb=grows(4000, share=6),
        runtime=lasts(40, share=4),
    params:
        areas=lambda w: json.dumps(
            {name: areas_of(STUDY.dataset(name)) for name in STUDY.datasets}
        ),
        rows=lambda w: table_facts(STUDY),
        study="{study}",
    script:
        "../scripts/for_pathologist.py"
