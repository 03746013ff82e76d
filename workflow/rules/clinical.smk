"""
What a pathologist looks at: errors cell by cell, mitoses per region, false positives, calibration.

INPUT     results/predictions/…, results/splits/…      at the largest fraction of each scheme
          results/patches/{dataset}.h5, results/audits/{dataset}.windows.csv    what networks see, and where
OUTPUT    results/studies/{study}/atlas/{dataset}/     tables, image sheets, GeoJSON for QuPath
          results/studies/{study}/reliability.*, calibration.csv, operating.csv
          results/studies/{study}/counts.csv, agreement.csv, bland_altman.*
"""

from cryotome.evaluation.clinical.regions import region_areas
from cryotome.study.gather_facts import embedded_models


rule error_atlas:
    """Show where the rows err and disagree: sheets of patches, slides for QuPath, tables."""
    input:
        library("error_atlas"),
        os.path.relpath(BASE / "workflow/cryotome/report/page/parts/cells.html"),
        cells="results/cells/{dataset}.csv",
        windows="results/audits/{dataset}.windows.csv",
        patches="results/patches/{dataset}.h5",
        predictions=lambda w: expand(
            PREDICTIONS,
            dataset=w.dataset,
            scheme=strictest_scheme(STUDY.schemes(w.dataset)),
            row=STUDY.rows,
            fraction=largest_fraction(strictest_scheme(STUDY.schemes(w.dataset))[0]),
            fold=STUDY.folds,
        ),
        splits=lambda w: expand(
            "results/splits/{dataset}/{scheme}/fraction={fraction}/fold={fold}.csv",
            dataset=w.dataset,
            scheme=strictest_scheme(STUDY.schemes(w.dataset)),
            fraction=largest_fraction(strictest_scheme(STUDY.schemes(w.dataset))[0]),
            fold=STUDY.folds,
        ),
        embeddings=lambda w: expand(
            "results/embeddings/{dataset}/{view}/{model}.h5",
            dataset=w.dataset,
            view=STUDY.view,
            model=embedded_models(STUDY),
        ),
    output:
        table="results/studies/{study}/atlas/{dataset}/cells.csv",
        listed="results/studies/{study}/atlas/{dataset}/sheets.csv",
        shown="results/studies/{study}/atlas/{dataset}/shown.csv",
        places="results/studies/{study}/atlas/{dataset}/slides.csv",
        agreement="results/studies/{study}/atlas/{dataset}/agreement.csv",
        picture="results/studies/{study}/atlas/{dataset}/agreement.png",
        sheets=directory("results/studies/{study}/atlas/{dataset}/sheets"),
        slides=directory("results/studies/{study}/atlas/{dataset}/slides"),
    log:
        "results/logs/error_atlas/{study}.{dataset}.log",
    resources:
        mem_mb=memory_with_retries(4000),
        runtime=runtime_with_retries(30),
    params:
        card=lambda w: {
            key: STUDY.dataset(w.dataset)[key]
            for key in ("title", "classes", "domains", "scanners", "synthetic", "slides")
            if key in STUDY.dataset(w.dataset)
        },
        labels=lambda w: {row.key: STUDY.label(row) for row in STUDY.rows},
        study="{study}",
    script:
        "../scripts/error_atlas.py"


rule clinical_summary:
    """Summarise calibration, mitotic counts per region and sensitivity at fixed false positives."""
    input:
        library("clinical_summary"),
        cells=expand("results/cells/{dataset}.csv", dataset=STUDY.datasets),
        # where nothing is dropped, a repeated audit changes nothing here
        audits=[
            (str if STUDY.drops(dataset) else ancient)(f"results/audits/{dataset}.csv")
            for dataset in STUDY.datasets
        ],
        splits=all_runs(
            STUDY.blocks,
            "results/splits/{dataset}/{scheme}/fraction={fraction}/fold={fold}.csv",
            fractions=largest_fraction,
        ),
        predictions=all_runs(STUDY.blocks, PREDICTIONS, fractions=largest_fraction),
    output:
        tables=[
            reported(f"results/studies/{{study}}/{name}.csv")
            for name in ("reliability", "calibration", "counts", "agreement", "operating")
        ],
        reliability=[
            reported(f"results/studies/{{study}}/reliability.{kind}") for kind in ("pdf", "png")
        ],
        bland_altman=[
            reported(f"results/studies/{{study}}/bland_altman.{kind}") for kind in ("pdf", "png")
        ],
    log:
        "results/logs/clinical_summary/{study}.log",
    resources:
        **LARGE_JOB,
    params:
        **ROW_FACTS,
        areas=lambda w: {name: region_areas(STUDY.dataset(name)) for name in STUDY.datasets},
    script:
        "../scripts/clinical_summary.py"
