"""
Scanners apart from domains: from one to another, and what each gives to the spread of AUROC.

INPUT     results/scores/… of `from_scanner_*`, results/predictions/… of schemes of all domains
OUTPUT    results/studies/{study}/figure2_scanner.*, variance_split.*
"""

from cryotome.study.scanners import scanner_cards


rule figure2_scanner:
    """Draw the matrices of training scanner against test scanner."""
    input:
        library("figure2_scanner"),
        scores=all_runs(STUDY.cross_scanner_blocks, SCORES),
    output:
        **figure_files("results/studies/{study}/figure2_scanner"),
    log:
        "results/logs/figure2_scanner/{study}.log",
    resources:
        **SMALL_JOB,
    params:
        **ROW_FACTS,
    script:
        "../scripts/figure2_scanner.py"


rule split_variance:
    """Split the spread of every row's AUROC into slide, scanner, domain and fold."""
    input:
        library("split_variance"),
        cells=expand("results/cells/{dataset}.csv", dataset=STUDY.datasets),
        predictions=all_runs(STUDY.all_domain_blocks, PREDICTIONS),
    output:
        **figure_files("results/studies/{study}/variance_split"),
    log:
        "results/logs/split_variance/{study}.log",
    resources:
        **LARGE_JOB,
    params:
        **ROW_FACTS,
        cards=lambda w: scanner_cards(STUDY),
    script:
        "../scripts/split_variance.py"
