"""
What every job took, as the jobs themselves have written it down, becomes tables and a picture.

INPUT     results/ledger/{rule}/….jsonl                             two lines an attempt, never a declared output
OUTPUT    results/studies/{study}/ledger.csv                        a line per job
          results/studies/{study}/costs.csv                         a line per row of Table 2 and dataset
          results/studies/{study}/cost_auroc.pdf, cost_auroc.png    AUROC against hours
"""

from cryotome.study.costs.row_jobs import jobs_per_row


rule tally:
    """Add up what the jobs of a study took, job by job and row by row, and draw AUROC against it."""
    input:
        library(
            "scripts/tally",
            "cryotome/report/tables/costs",
            "cryotome/report/figures/costs",
            "cryotome/report/figures/ganz2024",
        ),
        # what is told of is done when this runs: intervals need the predictions of all schemes
        of_rows("patches") + of_rows("slides"),
        table2=["results/studies/{study}/table2.csv"]
        * bool(STUDY.cross_domain_blocks and STUDY.rows),
        intervals=["results/studies/{study}/intervals.csv"] * bool(STUDY.rows),
    output:
        jobs=reported("results/studies/{study}/ledger.csv", "Cost", "Jobs"),
        rows_csv=reported("results/studies/{study}/costs.csv", "Cost", "Rows"),
        pdf=reported("results/studies/{study}/cost_auroc.pdf", "Cost", "AUROC"),
        png=reported("results/studies/{study}/cost_auroc.png", "Cost", "AUROC"),
    log:
        "results/logs/tally/{study}.log",
    conda:
        "../../envs/cryotome.yaml"
    resources:
        mem_mb=grows(2000, share=6),
        runtime=lasts(20, share=4),
    params:
        ledger="results/ledger",
        about=lambda w: jobs_per_row(STUDY),
        rows=lambda w: table_facts(STUDY),
        study="{study}",
    script:
        "../scripts/tally.py"
