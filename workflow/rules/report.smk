"""
Predictions become scores; scores become the tables and figures of a study.

INPUT     results/predictions/…                      id, role, label, score
OUTPUT    results/scores/{dataset}/{scheme}/view={view}/model={model}/head={head}.csv
          results/studies/{study}/…                  tables and figures of one study
          results/table1.csv, results/table2.csv …   copies of the study in the config given
"""


rule score:
    """Compute every metric per fraction, fold and test domain, from the predictions alone."""
    input:
        library(
            "scripts/score",
            "cryotome/evaluation/scores",
            "cryotome/evaluation/statistics/slide_pairs",
        ),
        cells="results/cells/{dataset}.csv",
        predictions=drawn(
            "results/predictions/{dataset}/{scheme}/view={view}/model={model}/head={head}/fraction={fraction}/fold={fold}.csv"
        ),
    output:
        scores="results/scores/{dataset}/{scheme}/view={view}/model={model}/head={head}.csv",
    log:
        "results/logs/score/{dataset}.{scheme}.{view}.{model}.{head}.log",
    conda:
        "../../envs/cryotome.yaml"
    resources:
        mem_mb=grows(4000),
        runtime=lasts(10, share=2),
    params:
        scheme="{scheme}",
    script:
        "../scripts/score.py"


rule table1:
    """List the study's encoders: what is printed of them, their cards, and what is measured."""
    input:
        library(
            "scripts/table1",
            "cryotome/report/tables/ganz2024",
            "cryotome/encoders/profile",
            "cryotome/encoders/encoder",
            "cryotome/encoders/layers",
            "cryotome/encoders/convert",
            "cryotome/encoders/pooling",
        ),
    output:
        table=reported("results/studies/{study}/table1.csv", "Paper 001", "Table 1"),
    log:
        "results/logs/table1/{study}.log",
    conda:
        "../../envs/cryotome.yaml"
    resources:
        mem_mb=grows(2000, share=6),
        runtime=lasts(10, share=4),
    params:
        cards=lambda w: encoder_facts(STUDY),
        study="{study}",
    script:
        "../scripts/table1.py"


rule table2:
    """Average in domain and out of domain, published numbers beside."""
    input:
        library("scripts/table2", "cryotome/report/tables/ganz2024"),
        scores=studied(
            STUDY.cross_domain_blocks,
            "results/scores/{dataset}/{scheme}/view={row.view}/model={row.model}/head={row.head}.csv",
        ),
        published=published("ganz2024_table2.csv"),
    output:
        table=reported("results/studies/{study}/table2.csv", "Paper 001", "Table 2"),
        sd=reported(
            "results/studies/{study}/table2_sd.csv", "Paper 001", "Table 2, every SD"
        ),
    log:
        "results/logs/table2/{study}.log",
    conda:
        "../../envs/cryotome.yaml"
    resources:
        mem_mb=grows(2000, share=6),
        runtime=lasts(10, share=4),
    params:
        rows=lambda w: table_facts(STUDY),
        study="{study}",
    script:
        "../scripts/table2.py"


rule print_table2:
    """Print Table 2 for people: intervals in its cells, and whether published numbers agree."""
    input:
        library("scripts/print_table2", "cryotome/report/tables/ganz2024"),
        table="results/studies/{study}/table2.csv",
        intervals="results/studies/{study}/intervals.csv",
        verdicts="results/studies/{study}/published.csv",
    output:
        markdown=reported("results/studies/{study}/table2.md", "Paper 001", "Table 2"),
        latex=reported("results/studies/{study}/table2.tex", "Paper 001", "Table 2"),
    log:
        "results/logs/print_table2/{study}.log",
    conda:
        "../../envs/cryotome.yaml"
    resources:
        mem_mb=grows(2000, share=6),
        runtime=lasts(10, share=4),
    params:
        rows=lambda w: table_facts(STUDY),
        study="{study}",
    script:
        "../scripts/print_table2.py"


rule table2_partial:
    """Make Table 2 from whatever there is; a run that fails makes it from what it reached."""
    input:
        library(
            "scripts/table2_partial",
            "cryotome/report/after_failure",
            "cryotome/report/tables/partial",
            "cryotome/report/tables/ganz2024",
            "cryotome/evaluation/scores",
            "cryotome/evaluation/statistics/slide_pairs",
        ),
        cells=expand("results/cells/{dataset}.csv", dataset=STUDY.datasets),
        predictions=studied(
            STUDY.cross_domain_blocks,
            "results/predictions/{dataset}/{scheme}/view={row.view}/model={row.model}/head={row.head}/fraction={fraction}/fold={fold}.csv",
        ),
        published=published("ganz2024_table2.csv"),
    output:
        table="results/studies/{study}/table2_partial.csv",
    log:
        "results/logs/table2_partial/{study}.log",
    conda:
        "../../envs/cryotome.yaml"
    resources:
        mem_mb=grows(4000, share=6),
        runtime=lasts(30),
    params:
        logs="results/logs",
        rows=lambda w: table_facts(STUDY),
        study="{study}",
    script:
        "../scripts/table2_partial.py"


rule compare:
    """Give every row its intervals, and compare it with the reference row."""
    input:
        library(
            "scripts/compare",
            "cryotome/evaluation/statistics/comparisons",
            "cryotome/evaluation/statistics/clustered_auroc",
            "cryotome/evaluation/statistics/paired_scores",
            "cryotome/evaluation/statistics/slide_pairs",
            "cryotome/evaluation/scores",
        ),
        cells=expand("results/cells/{dataset}.csv", dataset=STUDY.datasets),
        predictions=studied(
            STUDY.blocks,
            "results/predictions/{dataset}/{scheme}/view={row.view}/model={row.model}/head={row.head}/fraction={fraction}/fold={fold}.csv",
        ),
        calibration=CALIBRATION,
    output:
        table=reported(
            "results/studies/{study}/intervals.csv", "Uncertainty", "Intervals"
        ),
        against=reported(
            "results/studies/{study}/comparisons.csv", "Uncertainty", "Comparisons"
        ),
        spread=reported(
            "results/studies/{study}/variances.csv", "Uncertainty", "Spread"
        ),
        curves=reported(
            "results/studies/{study}/learning.csv", "Uncertainty", "Learning curves"
        ),
        crossed=reported(
            "results/studies/{study}/crossings.csv", "Uncertainty", "Crossings"
        ),
    log:
        "results/logs/compare/{study}.log",
    conda:
        "../../envs/cryotome.yaml"
    resources:
        mem_mb=grows(4000, share=6),
        runtime=lasts(40, share=4),
    params:
        rows=lambda w: table_facts(STUDY),
        study="{study}",
    script:
        "../scripts/compare.py"


rule judge:
    """Lay every published number beside what the study measured, and say whether they agree."""
    input:
        library("scripts/judge", "cryotome/evaluation/published"),
        intervals="results/studies/{study}/intervals.csv",
        encoders="results/studies/{study}/table1.csv",
        published=PUBLISHED,
    output:
        verdicts=reported(
            "results/studies/{study}/published.csv",
            "Paper 001",
            "Printed and measured",
        ),
    log:
        "results/logs/judge/{study}.log",
    conda:
        "../../envs/cryotome.yaml"
    resources:
        mem_mb=grows(2000, share=6),
        runtime=lasts(10, share=4),
    params:
        about=lambda w: protocol_facts(STUDY),
    script:
        "../scripts/judge.py"


rule learning:
    """Draw learning curves with their intervals, and where the reference equals a row."""
    input:
        library(
            "scripts/learning",
            "cryotome/report/figures/statistics",
            "cryotome/report/figures/ganz2024",
        ),
        intervals="results/studies/{study}/intervals.csv",
        curves="results/studies/{study}/learning.csv",
        crossed="results/studies/{study}/crossings.csv",
    output:
        pdf=reported(
            "results/studies/{study}/learning.pdf", "Uncertainty", "Learning curves"
        ),
        png=reported(
            "results/studies/{study}/learning.png", "Uncertainty", "Learning curves"
        ),
    log:
        "results/logs/learning/{study}.log",
    conda:
        "../../envs/cryotome.yaml"
    resources:
        mem_mb=grows(2000, share=6),
        runtime=lasts(10, share=4),
    params:
        rows=lambda w: table_facts(STUDY),
    script:
        "../scripts/learning.py"


rule ranks:
    """Rank the rows over training domains; draw a critical difference where there are five."""
    input:
        library(
            "scripts/ranks",
            "cryotome/report/figures/statistics",
            "cryotome/evaluation/ranks",
            "cryotome/report/figures/ganz2024",
        ),
        intervals="results/studies/{study}/intervals.csv",
    output:
        table=reported("results/studies/{study}/ranks.csv", "Uncertainty", "Ranks"),
        pdf=reported("results/studies/{study}/ranks.pdf", "Uncertainty", "Ranks"),
        png=reported("results/studies/{study}/ranks.png", "Uncertainty", "Ranks"),
    log:
        "results/logs/ranks/{study}.log",
    conda:
        "../../envs/cryotome.yaml"
    resources:
        mem_mb=grows(2000, share=6),
        runtime=lasts(10, share=4),
    params:
        rows=lambda w: table_facts(STUDY),
        study="{study}",
    script:
        "../scripts/ranks.py"


rule orders:
    """Rank the models of Table 2 under each head, and say how strong its penalty was."""
    input:
        library(
            "scripts/orders",
            "cryotome/report/figures/statistics",
            "cryotome/evaluation/ranks",
            "cryotome/report/figures/ganz2024",
        ),
        table2="results/studies/{study}/table2.csv",
        predictions=studied(
            STUDY.cross_domain_blocks,
            "results/predictions/{dataset}/{scheme}/view={row.view}/model={row.model}/head={row.head}/fraction={fraction}/fold={fold}.csv",
        ),
    output:
        table=reported("results/studies/{study}/orders.csv", "Uncertainty", "Orders"),
        pdf=reported("results/studies/{study}/orders.pdf", "Uncertainty", "Orders"),
        png=reported("results/studies/{study}/orders.png", "Uncertainty", "Orders"),
    log:
        "results/logs/orders/{study}.log",
    conda:
        "../../envs/cryotome.yaml"
    resources:
        mem_mb=grows(2000, share=6),
        runtime=lasts(10, share=4),
    params:
        rows=lambda w: table_facts(STUDY),
    script:
        "../scripts/orders.py"


rule price_ladder:
    """Price every rung of the leakage ladder for every row."""
    input:
        library(
            "scripts/price_ladder",
            "cryotome/evaluation/leakage_ladder",
            "cryotome/evaluation/statistics/comparisons",
            "cryotome/report/tables/ganz2024",
            "cryotome/report/figures/statistics",
            "cryotome/evaluation/statistics/clustered_auroc",
            "cryotome/evaluation/statistics/paired_scores",
            "cryotome/evaluation/statistics/slide_pairs",
            "cryotome/report/figures/ganz2024",
            "cryotome/evaluation/scores",
        ),
        cells=expand("results/cells/{dataset}.csv", dataset=STUDY.datasets),
        predictions=studied(
            STUDY.matched_blocks,
            "results/predictions/{dataset}/{scheme}/view={row.view}/model={row.model}/head={row.head}/fraction={fraction}/fold={fold}.csv",
        ),
        leaks=studied(
            STUDY.matched_blocks,
            "results/splits/{dataset}/{scheme}/fraction={fraction}/fold={fold}.leakage.csv",
        ),
        calibration=CALIBRATION,
    output:
        table=reported(
            "results/studies/{study}/ladder.csv", "Uncertainty", "Leakage ladder"
        ),
        markdown=reported(
            "results/studies/{study}/ladder.md", "Uncertainty", "Leakage ladder"
        ),
        pdf=reported(
            "results/studies/{study}/ladder.pdf", "Uncertainty", "Leakage ladder"
        ),
        png=reported(
            "results/studies/{study}/ladder.png", "Uncertainty", "Leakage ladder"
        ),
    log:
        "results/logs/price_ladder/{study}.log",
    conda:
        "../../envs/cryotome.yaml"
    resources:
        mem_mb=grows(4000, share=6),
        runtime=lasts(40, share=4),
    params:
        rows=lambda w: table_facts(STUDY),
        study="{study}",
    script:
        "../scripts/price_ladder.py"


rule figure1:
    """Draw AUROC against the training fraction."""
    input:
        library(
            "scripts/figure1",
            "cryotome/report/figures/ganz2024",
            "cryotome/report/tables/ganz2024",
        ),
        scores=studied(
            STUDY.all_domain_blocks,
            "results/scores/{dataset}/{scheme}/view={row.view}/model={row.model}/head={row.head}.csv",
        ),
        published=published("ganz2024_figure1.csv"),
    output:
        table=reported("results/studies/{study}/figure1.csv", "Paper 001", "Figure 1"),
        pdf=reported("results/studies/{study}/figure1.pdf", "Paper 001", "Figure 1"),
        png=reported("results/studies/{study}/figure1.png", "Paper 001", "Figure 1"),
    log:
        "results/logs/figure1/{study}.log",
    conda:
        "../../envs/cryotome.yaml"
    resources:
        mem_mb=grows(2000, share=6),
        runtime=lasts(10, share=4),
    params:
        rows=lambda w: table_facts(STUDY),
        study="{study}",
    script:
        "../scripts/figure1.py"


rule figure2:
    """Draw the matrices of training domain against test domain."""
    input:
        library(
            "scripts/figure2",
            "cryotome/report/figures/ganz2024",
            "cryotome/report/tables/ganz2024",
        ),
        scores=studied(
            STUDY.cross_domain_blocks,
            "results/scores/{dataset}/{scheme}/view={row.view}/model={row.model}/head={row.head}.csv",
        ),
    output:
        table=reported("results/studies/{study}/figure2.csv", "Paper 001", "Figure 2"),
        pdf=reported("results/studies/{study}/figure2.pdf", "Paper 001", "Figure 2"),
        png=reported("results/studies/{study}/figure2.png", "Paper 001", "Figure 2"),
    log:
        "results/logs/figure2/{study}.log",
    conda:
        "../../envs/cryotome.yaml"
    resources:
        mem_mb=grows(2000, share=6),
        runtime=lasts(10, share=4),
    params:
        rows=lambda w: table_facts(STUDY),
        study="{study}",
    script:
        "../scripts/figure2.py"


rule publish:
    """Copy a product of the study in the config given to its short path."""
    input:
        lambda w: f"results/studies/{STUDY.name}/{require_product(STUDY, w.product)}",
    output:
        "results/{product}",
    log:
        "results/logs/publish/{product}.log",
    wildcard_constraints:
        product="|".join(PRODUCTS).replace(".", r"\."),
    localrule: True
    conda:
        "../../envs/cryotome.yaml"
    shell:
        "cp {input:q} {output:q} 2> {log:q}"
