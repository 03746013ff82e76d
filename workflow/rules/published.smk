"""
Verdicts on the numbers that the two papers publish, and their tables for people to read.

INPUT     results/studies/{study}/table1.csv, table2.csv, intervals.csv, colorectal/table1.csv …
          config/published/*.csv                        numbers as printed, with their source
OUTPUT    results/studies/{study}/published.csv, benchmark.csv, table2.md, table2.tex
          results/studies/{study}/colorectal/published.csv, tables.md
"""


rule compare_benchmark:
    """Put the rows beside the published numbers of the same test cells."""
    input:
        library("compare_benchmark"),
        cells=sorted({f"results/cells/{dataset}.csv" for dataset, _ in STUDY.predefined_blocks}),
        predictions=all_runs(STUDY.predefined_blocks, PREDICTIONS, largest_fraction),
        intervals="results/studies/{study}/intervals.csv",
        published=PUBLISHED,
    output:
        table=reported("results/studies/{study}/benchmark.csv"),
    log:
        "results/logs/compare_benchmark/{study}.log",
    resources:
        **SMALL_JOB,
    params:
        **ROW_FACTS,
    script:
        "../scripts/compare_benchmark.py"


rule compare_published:
    """Compare every number that Ganz et al. 2024 publish with what the study measured."""
    input:
        library("compare_published"),
        intervals="results/studies/{study}/intervals.csv",
        benchmark=["results/studies/{study}/benchmark.csv"] * bool(STUDY.predefined_blocks),
        scores=[],
        sizes="results/studies/{study}/table1.csv",
        published=PUBLISHED,
    output:
        verdicts=reported("results/studies/{study}/published.csv"),
    log:
        "results/logs/compare_published/{study}.log",
    resources:
        **SMALL_JOB,
    params:
        **ROW_FACTS,
    script:
        "../scripts/compare_published.py"


use rule compare_published as compare_published_roth with:
    input:
        library("compare_published"),
        intervals=[],
        benchmark=[],
        scores=ROTH_SCORES["patches"] + ROTH_SCORES["slides"],
        sizes="results/studies/{study}/colorectal/table3.csv",
        published=PUBLISHED,
    output:
        verdicts=reported("results/studies/{study}/colorectal/published.csv"),
    log:
        "results/logs/compare_published_roth/{study}.log",
    params:
        **ROTH_FACTS,


rule format_table2:
    """Format Table 2 for people: intervals in its cells, and whether published numbers agree."""
    input:
        library("format_table2"),
        table="results/studies/{study}/table2.csv",
        intervals="results/studies/{study}/intervals.csv",
        verdicts="results/studies/{study}/published.csv",
    output:
        markdown=reported("results/studies/{study}/table2.md"),
        latex=reported("results/studies/{study}/table2.tex"),
    log:
        "results/logs/format_table2/{study}.log",
    resources:
        **SMALL_JOB,
    params:
        **ROW_FACTS,
    script:
        "../scripts/format_table2.py"


rule format_roth_tables:
    """Format Tables 1 to 3 of Roth et al. 2024 for people."""
    input:
        library("format_roth_tables"),
        slides=["results/studies/{study}/colorectal/table1.csv"] * bool(ROTH_SCORES["slides"]),
        patches=["results/studies/{study}/colorectal/table2.csv"] * bool(ROTH_SCORES["patches"]),
        tiles=TILE_LISTS,
        sizes="results/studies/{study}/colorectal/table3.csv",
    output:
        markdown=reported("results/studies/{study}/colorectal/tables.md"),
    log:
        "results/logs/format_roth_tables/{study}.log",
    resources:
        **SMALL_JOB,
    params:
        **ROTH_FACTS,
    script:
        "../scripts/format_roth_tables.py"
