"""
Scores become an atlas of errors: what a reader or a pathologist looks at, cell by cell.

INPUT     results/predictions/…                      id, role, label, score, of the strictest scheme
          results/patches/{dataset}.h5               what the networks see
          results/audits/{dataset}.windows.csv       where they see it
OUTPUT    results/studies/{study}/atlas/{dataset}/   tables, image sheets, GeoJSON for QuPath
"""


rule atlas:
    """Show where the rows err and disagree: sheets of patches, slides for QuPath, tables."""
    input:
        library(
            "scripts/atlas",
            "cryotome/report/atlas/errors",
            "cryotome/report/atlas/agreement",
            "cryotome/report/atlas/sheet_plan",
            "cryotome/report/atlas/sheets",
            "cryotome/report/atlas/qupath",
            "cryotome/evaluation/scores",
            "cryotome/evaluation/statistics/slide_pairs",
            "cryotome/study/schemes",
        ),
        cells="results/cells/{dataset}.csv",
        windows="results/audits/{dataset}.windows.csv",
        patches="results/patches/{dataset}.h5",
        predictions=judging,
    output:
        table="results/studies/{study}/atlas/{dataset}/cells.csv",
        listed="results/studies/{study}/atlas/{dataset}/sheets.csv",
        places="results/studies/{study}/atlas/{dataset}/slides.csv",
        agreement="results/studies/{study}/atlas/{dataset}/agreement.csv",
        picture="results/studies/{study}/atlas/{dataset}/agreement.png",
        sheets=directory("results/studies/{study}/atlas/{dataset}/sheets"),
        slides=directory("results/studies/{study}/atlas/{dataset}/slides"),
    log:
        "results/logs/atlas/{study}.{dataset}.log",
    conda:
        "../../envs/cryotome.yaml"
    resources:
        mem_mb=grows(4000),
        runtime=lasts(30),
    params:
        card=lambda w: json.dumps(
            {
                key: STUDY.dataset(w.dataset)[key]
                for key in (
                    "title",
                    "classes",
                    "domains",
                    "scanners",
                    "synthetic",
                    "slides",
                )
                if key in STUDY.dataset(w.dataset)
            },
            sort_keys=True,
        ),
        labels=lambda w: json.dumps(
            {f"{row.model} + {row.head}": STUDY.label(row) for row in STUDY.rows}
        ),
        study="{study}",
        dataset="{dataset}",
    script:
        "../scripts/atlas.py"
