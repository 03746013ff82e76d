"""
Intervals become learning curves and ranks; predictions of equal training sizes the leakage ladder.

INPUT     results/studies/{study}/intervals.csv, learning.csv, crossings.csv, table2.csv
OUTPUT    results/studies/{study}/learning.pdf, .png, ranks.*, orders.*, ladder.*
"""


rule plot_learning_curves:
    """Draw learning curves with their intervals, and where the reference equals a row."""
    input:
        library("plot_learning_curves"),
        intervals="results/studies/{study}/intervals.csv",
        curves="results/studies/{study}/learning.csv",
        crossed="results/studies/{study}/crossings.csv",
    output:
        pdf=reported("results/studies/{study}/learning.pdf"),
        png=reported("results/studies/{study}/learning.png"),
    log:
        "results/logs/plot_learning_curves/{study}.log",
    resources:
        **SMALL_JOB,
    params:
        **ROW_FACTS,
    script:
        "../scripts/plot_learning_curves.py"


rule rank_rows:
    """Rank the rows over training domains; draw a critical difference where there are five."""
    input:
        library("rank_rows"),
        intervals="results/studies/{study}/intervals.csv",
    output:
        **figure_files("results/studies/{study}/ranks"),
    log:
        "results/logs/rank_rows/{study}.log",
    resources:
        **SMALL_JOB,
    params:
        **ROW_FACTS,
    script:
        "../scripts/rank_rows.py"


rule rank_models_by_head:
    """Rank the models of Table 2 under each head, and report the strength of its penalty."""
    input:
        library("rank_models_by_head"),
        table2="results/studies/{study}/table2.csv",
        predictions=all_runs(STUDY.cross_domain_blocks, PREDICTIONS),
    output:
        **figure_files("results/studies/{study}/orders"),
    log:
        "results/logs/rank_models_by_head/{study}.log",
    resources:
        **SMALL_JOB,
    params:
        **ROW_FACTS,
    script:
        "../scripts/rank_models_by_head.py"


rule leakage_ladder:
    """Measure what every step of the leakage ladder costs every row."""
    input:
        library("leakage_ladder"),
        cells=expand("results/cells/{dataset}.csv", dataset=STUDY.datasets),
        predictions=all_runs(STUDY.matched_blocks, PREDICTIONS),
        leaks=all_runs(
            STUDY.matched_blocks,
            "results/splits/{dataset}/{scheme}/fraction={fraction}/fold={fold}.leakage.csv",
        ),
        calibration=CALIBRATION,
    output:
        **figure_files("results/studies/{study}/ladder"),
        markdown=reported("results/studies/{study}/ladder.md"),
    log:
        "results/logs/leakage_ladder/{study}.log",
    resources:
        **LARGE_JOB,
    params:
        **ROW_FACTS,
    script:
        "../scripts/leakage_ladder.py"
