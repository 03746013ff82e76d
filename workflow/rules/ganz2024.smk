"""
Tables and figures of Ganz et al. 2024.

INPUT     results/scores/{dataset}/{scheme}/view={view}/model={model}/head={head}.csv
OUTPUT    results/studies/{study}/table1.csv, table2.*, figure1.*, figure2.*
"""

from cryotome.study.cautions import own_resolutions


rule table1:
    """List the study's encoders: published facts, cards, and what is measured."""
    input:
        library("table1"),
    output:
        table=reported("results/studies/{study}/table1.csv"),
    log:
        "results/logs/table1/{study}.log",
    resources:
        **SMALL_JOB,
    params:
        cards=lambda w: {row.model: with_code_hash(STUDY.model(row.model)) for row in STUDY.rows},
        resolutions=lambda w: own_resolutions(STUDY),
        study="{study}",
    script:
        "../scripts/table1.py"


rule table2:
    """Average AUROC in domain and out of domain, with published numbers."""
    input:
        library("table2"),
        scores=all_runs(STUDY.cross_domain_blocks, SCORES),
        published=os.path.relpath(BASE / "config/published/ganz2024_table2.csv"),
    output:
        table=reported("results/studies/{study}/table2.csv"),
        sd=reported("results/studies/{study}/table2_sd.csv"),
    log:
        "results/logs/table2/{study}.log",
    resources:
        **SMALL_JOB,
    params:
        **ROW_FACTS,
    script:
        "../scripts/table2.py"


rule table2_partial:
    """Make Table 2 from the finished jobs, with the reasons why others are missing."""
    input:
        library("table2_partial"),
        cells=expand("results/cells/{dataset}.csv", dataset=STUDY.datasets),
        predictions=all_runs(STUDY.cross_domain_blocks, PREDICTIONS),
        published=os.path.relpath(BASE / "config/published/ganz2024_table2.csv"),
    output:
        table="results/studies/{study}/table2_partial.csv",
    log:
        "results/logs/table2_partial/{study}.log",
    resources:
        mem_mb=memory_with_retries(4000, share=6),
        runtime=runtime_with_retries(30),
    params:
        **ROW_FACTS,
        logs="results/logs",
    script:
        "../scripts/table2_partial.py"


rule figure1:
    """Draw AUROC against the training fraction."""
    input:
        library("figure1"),
        scores=all_runs(STUDY.all_domain_blocks, SCORES),
        published=os.path.relpath(BASE / "config/published/ganz2024_figure1.csv"),
    output:
        **figure_files("results/studies/{study}/figure1"),
    log:
        "results/logs/figure1/{study}.log",
    resources:
        **SMALL_JOB,
    params:
        **ROW_FACTS,
    script:
        "../scripts/figure1.py"


rule figure2:
    """Draw the matrices of training domain against test domain."""
    input:
        library("figure2"),
        scores=all_runs(STUDY.cross_domain_blocks, SCORES),
    output:
        **figure_files("results/studies/{study}/figure2"),
    log:
        "results/logs/figure2/{study}.log",
    resources:
        **SMALL_JOB,
    params:
        **ROW_FACTS,
    script:
        "../scripts/figure2.py"
