"""
Intervals become learning curves, ranks, and verdicts on the numbers that papers publish.

INPUT     results/studies/{study}/intervals.csv, learning.csv, crossings.csv, table1.csv, table2.csv
OUTPUT    results/studies/{study}/learning.pdf, .png, ranks.*, orders.*
          results/studies/{study}/published.csv, colorectal/published.csv
"""

from cryotome.study.facts import protocol_facts


rule plot_learning_curves:
    """Draw learning curves with their intervals, and where the reference equals a row."""
    input:
        library("plot_learning_curves"),
        intervals="results/studies/{study}/intervals.csv",
        curves="results/studies/{study}/learning.csv",
        crossed="results/studies/{study}/crossings.csv",
    output:
        pdf=reported("results/studies/{study}/learning.pdf", "Uncertainty", "Learning curves"),
        png=reported("results/studies/{study}/learning.png", "Uncertainty", "Learning curves"),
    log:
        "results/logs/plot_learning_curves/{study}.log",
    resources:
        **SMALL_JOB,
    params:
        rows=lambda w: table_facts(STUDY),
    script:
        "../scripts/plot_learning_curves.py"


rule rank_rows:
    """Rank the rows over training domains; draw a critical difference where there are five."""
    input:
        library("rank_rows"),
        intervals="results/studies/{study}/intervals.csv",
    output:
        **figure_files("results/studies/{study}/ranks", "Uncertainty", "Ranks"),
    log:
        "results/logs/rank_rows/{study}.log",
    resources:
        **SMALL_JOB,
    params:
        **ROWS,
    script:
        "../scripts/rank_rows.py"


rule rank_models_by_head:
    """Rank the models of Table 2 under each head, and report the strength of its penalty."""
    input:
        library("rank_models_by_head"),
        table2="results/studies/{study}/table2.csv",
        predictions=all_runs(STUDY.cross_domain_blocks, PREDICTIONS),
    output:
        **figure_files("results/studies/{study}/orders", "Uncertainty", "Orders"),
    log:
        "results/logs/rank_models_by_head/{study}.log",
    resources:
        **SMALL_JOB,
    params:
        rows=lambda w: table_facts(STUDY),
    script:
        "../scripts/rank_models_by_head.py"


rule compare_published:
    """Compare every number that Ganz et al. 2024 publish with what the study measured."""
    input:
        library("compare_published"),
        intervals="results/studies/{study}/intervals.csv",
        encoders="results/studies/{study}/table1.csv",
        published=PUBLISHED,
    output:
        verdicts=reported("results/studies/{study}/published.csv", GANZ, "Published"),
    log:
        "results/logs/compare_published/{study}.log",
    resources:
        **SMALL_JOB,
    params:
        about=lambda w: protocol_facts(STUDY),
    script:
        "../scripts/compare_published.py"


rule compare_published_roth:
    """Compare every number that Roth et al. 2024 publish with what the study measured."""
    input:
        library("compare_published_roth"),
        scores=ROTH_SCORES["patches"] + ROTH_SCORES["slides"],
        sizes="results/studies/{study}/colorectal/table3.csv",
        published=PUBLISHED,
    output:
        verdicts=reported("results/studies/{study}/colorectal/published.csv", ROTH, "Published"),
    log:
        "results/logs/compare_published_roth/{study}.log",
    resources:
        **SMALL_JOB,
    params:
        about=lambda w: colorectal_facts(COLORECTAL),
    script:
        "../scripts/compare_published_roth.py"
