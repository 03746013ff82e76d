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
            "cryotome/page/page",
            "cryotome/page/sections",
            "cryotome/page/papers",
            "cryotome/page/opening",
            "cryotome/page/audits",
            "cryotome/page/tables",
            "cryotome/page/figures",
            "cryotome/page/differences",
            "cryotome/page/pathologist",
            "cryotome/page/atlas",
            "cryotome/page/context",
            "cryotome/page/cost",
            "cryotome/page/gathered",
            "cryotome/page/grids",
            "cryotome/page/pictures",
            "cryotome/colorectal",
            "cryotome/colorectal_tables",
            "cryotome/published",
            "cryotome/tables",
            "cryotome/orders",
        ),
        sorted(map(os.path.relpath, (BASE / "workflow/cryotome/page/parts").iterdir())),
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
                f"results/audits/{STUDY.home(dataset)}.csv"
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
