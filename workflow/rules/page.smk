"""
Everything that a study found becomes one page.

INPUT     results/studies/{study}/…      tables
          results/audits/…, results/splits/…     what the audit found, and what splits let through
OUTPUT    results/studies/{study}/index.html
          results/index.html              the page of the study in the config given
"""


rule page:
    """Put what a study found on one page that needs no network."""
    input:
        library(
            "scripts/page",
            "cryotome/report/page/page",
            "cryotome/report/page/sections",
            "cryotome/report/page/roth2024",
            "cryotome/report/page/summary",
            "cryotome/report/page/audits",
            "cryotome/report/page/ganz2024_tables",
            "cryotome/report/page/ganz2024_figures",
            "cryotome/report/page/comparisons",
            "cryotome/report/page/clinical",
            "cryotome/report/page/atlas",
            "cryotome/report/page/context",
            "cryotome/report/page/costs",
            "cryotome/report/page/results",
            "cryotome/report/page/grids",
            "cryotome/report/page/charts",
            "cryotome/study/colorectal",
            "cryotome/report/tables/roth2024",
            "cryotome/evaluation/published",
            "cryotome/report/tables/ganz2024",
            "cryotome/evaluation/ranks",
        ),
        sorted(map(os.path.relpath, (BASE / "workflow/cryotome/report/page/parts").iterdir())),
        tables=[
            f"results/studies/{STUDY.name}/{product}"
            for product in STUDY.products
            if product.endswith(".csv")
        ],
        atlases=expand(
            "results/studies/{{study}}/atlas/{dataset}/cells.csv",
            dataset=sorted({dataset for dataset, _ in STUDY.blocks}),
        ),
        audits=sorted(
            {
                f"results/audits/{STUDY.split_source(dataset)}.csv"
                for dataset, _ in STUDY.blocks
            }
        ),
        leakage=studied(
            STUDY.blocks,
            "results/splits/{dataset}/{scheme}/fraction={fraction}/fold={fold}.leakage.csv",
            fractions=whole,
        ),
    output:
        page="results/studies/{study}/index.html",
    log:
        "results/logs/page/{study}.log",
    conda:
        "../../envs/cryotome.yaml"
    resources:
        mem_mb=grows(2000, share=6),
        runtime=lasts(10, share=4),
    params:
        about=lambda w: page_about(STUDY),
    script:
        "../scripts/page.py"


rule publish_page:
    """Copy the page of the study in the config given; its links begin at results."""
    input:
        f"results/studies/{STUDY.name}/index.html",
    output:
        "results/index.html",
    log:
        "results/logs/publish_page/index.log",
    localrule: True
    conda:
        "../../envs/cryotome.yaml"
    shell:
        "sed 's|=\"../../|=\"|g' {input:q} > {output:q} 2> {log:q}"
