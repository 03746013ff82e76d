"""
Paper 002's tables and figures, from the scores of patches and of slides.

INPUT     results/scores/{dataset}/{scheme}/view={view}/model={model}/head={head}.csv
          results/encoders/{finetune}.json, .csv                  what finetuning cost, and its course
OUTPUT    results/studies/{study}/colorectal/…                    tables and figures of one study
          results/colorectal/table1.csv …                         copies of the study in the config given
"""


rule tabulate_slides:
    """Lay out Table 1 of paper 002: AUROC in the cohort and outside, printed numbers beside."""
    input:
        library(
            "scripts/tabulate_slides",
            "cryotome/study/colorectal",
            "cryotome/report/tables/roth2024",
            "cryotome/evaluation/published",
            "cryotome/report/tables/ganz2024",
        ),
        unused_tiles(),
        scores=of_rows("slides"),
        published=PUBLISHED,
    output:
        table=reported(
            "results/studies/{study}/colorectal/table1.csv", "Paper 002", "Table 1"
        ),
    log:
        "results/logs/tabulate_slides/{study}.log",
    conda:
        "../../envs/cryotome.yaml"
    resources:
        mem_mb=grows(2000, share=6),
        runtime=lasts(10, share=4),
    params:
        about=lambda w: colorectal_facts(PART),
        kind="slides",
    script:
        "../scripts/tabulate_slides.py"


use rule tabulate_slides as tabulate_patches with:
    # Table 2 of paper 002: balanced accuracy and weighted F1, printed numbers beside
    input:
        library(
            "scripts/tabulate_slides",
            "cryotome/study/colorectal",
            "cryotome/report/tables/roth2024",
            "cryotome/evaluation/published",
            "cryotome/report/tables/ganz2024",
        ),
        scores=of_rows("patches"),
        published=PUBLISHED,
    output:
        table=reported(
            "results/studies/{study}/colorectal/table2.csv", "Paper 002", "Table 2"
        ),
    log:
        "results/logs/tabulate_patches/{study}.log",
    params:
        about=lambda w: colorectal_facts(PART),
        kind="patches",


rule count_parameters:
    """Lay out Table 3 of paper 002: sizes of the built networks, printed sizes beside."""
    input:
        library(
            "scripts/count_parameters",
            "cryotome/study/colorectal",
            "cryotome/report/tables/roth2024",
            "cryotome/evaluation/published",
            "cryotome/report/tables/ganz2024",
            "cryotome/encoders/profile",
            "cryotome/encoders/encoder",
            "cryotome/encoders/layers",
            "cryotome/encoders/convert",
            "cryotome/encoders/pooling",
        ),
        published=PUBLISHED,
    output:
        table=reported(
            "results/studies/{study}/colorectal/table3.csv", "Paper 002", "Table 3"
        ),
    log:
        "results/logs/count_parameters/{study}.log",
    conda:
        "../../envs/cryotome.yaml"
    resources:
        mem_mb=grows(2000, share=6),
        runtime=lasts(10, share=4),
    params:
        cards=lambda w: json.dumps({name: STUDY.model(name) for name in PART.models}),
        study="{study}",
    script:
        "../scripts/count_parameters.py"


rule judge_colorectal:
    """Lay every number that paper 002 prints beside what the study measured, with a verdict."""
    input:
        library(
            "scripts/judge_colorectal",
            "cryotome/study/colorectal",
            "cryotome/report/tables/roth2024",
            "cryotome/evaluation/published",
            "cryotome/report/tables/ganz2024",
        ),
        scores=of_rows("patches") + of_rows("slides"),
        sizes="results/studies/{study}/colorectal/table3.csv",
        published=PUBLISHED,
    output:
        verdicts=reported(
            "results/studies/{study}/colorectal/published.csv",
            "Paper 002",
            "Printed and measured",
        ),
    log:
        "results/logs/judge_colorectal/{study}.log",
    conda:
        "../../envs/cryotome.yaml"
    resources:
        mem_mb=grows(2000, share=6),
        runtime=lasts(10, share=4),
    params:
        about=lambda w: colorectal_facts(PART),
    script:
        "../scripts/judge_colorectal.py"


rule print_colorectal:
    """Print Tables 1 to 3 of paper 002 for people."""
    input:
        library(
            "scripts/print_colorectal",
            "cryotome/study/colorectal",
            "cryotome/report/tables/roth2024",
            "cryotome/evaluation/published",
            "cryotome/report/tables/ganz2024",
        ),
        slides=table_of("table1.csv"),
        patches=table_of("table2.csv"),
        tiles=unused_tiles(),
        sizes="results/studies/{study}/colorectal/table3.csv",
    output:
        markdown=reported(
            "results/studies/{study}/colorectal/tables.md",
            "Paper 002",
            "Tables 1 to 3",
        ),
    log:
        "results/logs/print_colorectal/{study}.log",
    conda:
        "../../envs/cryotome.yaml"
    resources:
        mem_mb=grows(2000, share=6),
        runtime=lasts(10, share=4),
    params:
        about=lambda w: colorectal_facts(PART),
    script:
        "../scripts/print_colorectal.py"


rule draw_cost:
    """Draw Figure 1 of paper 002: performance against the hours of training on tissue."""
    input:
        library(
            "scripts/draw_cost",
            "cryotome/report/figures/roth2024",
            "cryotome/study/colorectal",
            "cryotome/report/figures/ganz2024",
        ),
        slides=table_of("table1.csv"),
        patches=table_of("table2.csv"),
        costs=[
            f"results/encoders/{name}.json"
            for name in (PART.finetunings if PART else [])
        ],
        published=published("roth2024_text.csv"),
    output:
        table=reported(
            "results/studies/{study}/colorectal/figure1.csv", "Paper 002", "Figure 1"
        ),
        pdf=reported(
            "results/studies/{study}/colorectal/figure1.pdf", "Paper 002", "Figure 1"
        ),
        png=reported(
            "results/studies/{study}/colorectal/figure1.png", "Paper 002", "Figure 1"
        ),
    log:
        "results/logs/draw_cost/{study}.log",
    conda:
        "../../envs/cryotome.yaml"
    resources:
        mem_mb=grows(2000, share=6),
        runtime=lasts(10, share=4),
    params:
        about=lambda w: colorectal_facts(PART),
    script:
        "../scripts/draw_cost.py"


rule draw_course:
    """Draw Figure 2 of paper 002: performance over the iterations of finetuning."""
    input:
        library(
            "scripts/draw_course",
            "cryotome/report/figures/roth2024",
            "cryotome/study/colorectal",
            "cryotome/report/tables/roth2024",
            "cryotome/report/figures/ganz2024",
            "cryotome/evaluation/published",
            "cryotome/report/tables/ganz2024",
        ),
        scores=of_courses(),
        curve=curve_of_patches(),
    output:
        table=reported(
            "results/studies/{study}/colorectal/figure2.csv", "Paper 002", "Figure 2"
        ),
        pdf=reported(
            "results/studies/{study}/colorectal/figure2.pdf", "Paper 002", "Figure 2"
        ),
        png=reported(
            "results/studies/{study}/colorectal/figure2.png", "Paper 002", "Figure 2"
        ),
    log:
        "results/logs/draw_course/{study}.log",
    conda:
        "../../envs/cryotome.yaml"
    resources:
        mem_mb=grows(2000, share=6),
        runtime=lasts(10, share=4),
    params:
        about=lambda w: colorectal_facts(PART),
    script:
        "../scripts/draw_course.py"
