"""
Costs, the HTML report, and copies of a study's products at short paths.

INPUT     results/studies/{study}/…, results/audits/…, results/splits/…
          results/ledger/{rule}/….jsonl                 two lines an attempt, written by the jobs
OUTPUT    results/studies/{study}/ledger.csv, costs.csv, cost_auroc.*    a line per job, per row
          results/studies/{study}/index.html
          results/index.html, results/table1.csv …      copies, of the study of the config
"""

from cryotome.study.applications import slide_applications
from cryotome.study.costs.row_jobs import job_facts
from cryotome.study.gather_facts import page_facts
from cryotome.study.products import RULES, require_product
from cryotome.study.rule_inputs import row_runs


rule summarise_costs:
    """Add up what the jobs of a study took, job by job and row by row, and draw AUROC against it."""
    input:
        library("summarise_costs"),
        # every reported job has finished: intervals need the predictions of all schemes
        ROTH_SCORES["patches"] + ROTH_SCORES["slides"],
        table2=["results/studies/{study}/table2.csv"]
        * bool(STUDY.cross_domain_blocks and STUDY.rows),
        intervals=["results/studies/{study}/intervals.csv"] * bool(STUDY.rows),
    output:
        jobs=reported("results/studies/{study}/ledger.csv"),
        rows_csv=reported("results/studies/{study}/costs.csv"),
        pdf=reported("results/studies/{study}/cost_auroc.pdf"),
        png=reported("results/studies/{study}/cost_auroc.png"),
    log:
        "results/logs/summarise_costs/{study}.log",
    resources:
        mem_mb=memory_with_retries(2000, share=6),
        runtime=runtime_with_retries(20, share=4),
    params:
        **ROW_FACTS,
        ledger="results/ledger",
        jobs_of_study=lambda w: asdict(job_facts(STUDY)),
    script:
        "../scripts/summarise_costs.py"


rule html_report:
    """Put what a study found on one page that needs no network."""
    input:
        library("html_report"),
        sorted(map(os.path.relpath, (BASE / "workflow/cryotome/report/page/parts").iterdir())),
        [
            f"results/applied/{each.target}/{run.model}.{run.head}.csv"
            for each in slide_applications(STUDY)
            for run in row_runs(COLORECTAL, "slides")
        ],
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
            {f"results/audits/{STUDY.split_source(dataset)}.csv" for dataset, _ in STUDY.blocks}
        ),
        leakage=all_runs(
            STUDY.blocks,
            "results/splits/{dataset}/{scheme}/fraction={fraction}/fold={fold}.leakage.csv",
            fractions=largest_fraction,
        ),
    output:
        page="results/studies/{study}/index.html",
    log:
        "results/logs/html_report/{study}.log",
    resources:
        **SMALL_JOB,
    params:
        facts=lambda w: asdict(page_facts(STUDY)),
    script:
        "../scripts/html_report.py"


rule publish_html:
    """Copy the page of the study in the config given; its links begin at results."""
    input:
        f"results/studies/{STUDY.name}/index.html",
    output:
        "results/index.html",
    log:
        "results/logs/publish_html/index.log",
    localrule: True
    shell:
        "sed 's|=\"../../|=\"|g' {input:q} > {output:q} 2> {log:q}"


rule copy_to_results:
    """Copy a product of the study in the config given to its short path."""
    input:
        lambda w: f"results/studies/{STUDY.name}/{require_product(STUDY, w.product)}",
    output:
        "results/{product}",
    log:
        "results/logs/copy_to_results/{product}.log",
    wildcard_constraints:
        product="|".join(RULES).replace(".", r"\."),
    localrule: True
    shell:
        "cp {input:q} {output:q} 2> {log:q}"
