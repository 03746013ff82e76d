"""
Tables and figures of Roth et al. 2024, from the scores of patches and of slides.

INPUT     results/scores/…, results/encoders/{finetune}.json, .csv    its cost and learning curve
OUTPUT    results/studies/{study}/colorectal/…
"""

from cryotome.study import rule_inputs

ROTH = "Roth et al. 2024"  # a section of Snakemake's report
ROTH_KINDS = {"1": "slides", "2": "patches"}  # of Tables 1 and 2
ROTH_SCORE = "results/scores/{run.dataset}/{run.scheme}/view={run.view}/model={run.model}/head={run.head}.csv"
ROTH_SCORES = {
    kind: [ROTH_SCORE.format(run=run) for run in rule_inputs.row_runs(COLORECTAL, kind)]
    for kind in ROTH_KINDS.values()
}
TILE_LISTS = [
    f"results/tiles/{name}/classify.csv" for name in rule_inputs.tiled_cohorts(COLORECTAL)
]


rule roth_table:
    """Make Table 1 (AUROC of slides) or 2 (accuracy and F1 of patches), with published numbers."""
    input:
        library("roth_table"),
        lambda w: TILE_LISTS * (ROTH_KINDS[w.number] == "slides"),  # for people to read
        scores=lambda w: ROTH_SCORES[ROTH_KINDS[w.number]],
        published=PUBLISHED,
    output:
        table=reported(
            "results/studies/{study}/colorectal/table{number}.csv", ROTH, "Table {number}"
        ),
    log:
        "results/logs/roth_table/{study}.{number}.log",
    resources:
        **SMALL_JOB,
    params:
        about=lambda w: colorectal_facts(COLORECTAL),
        kind=lambda w: ROTH_KINDS[w.number],
    script:
        "../scripts/roth_table.py"


rule roth_table3:
    """Make Table 3 of Roth et al. 2024: sizes of the built networks, with published sizes."""
    input:
        library("roth_table3"),
        published=PUBLISHED,
    output:
        table=reported("results/studies/{study}/colorectal/table3.csv", ROTH, "Table 3"),
    log:
        "results/logs/roth_table3/{study}.log",
    resources:
        **SMALL_JOB,
    params:
        cards=lambda w: json.dumps({name: STUDY.model(name) for name in COLORECTAL.models}),
        study="{study}",
    script:
        "../scripts/roth_table3.py"


rule roth_figure1:
    """Draw Figure 1 of Roth et al. 2024: performance against the hours of training on tissue."""
    input:
        library("roth_figure1"),
        slides=["results/studies/{study}/colorectal/table1.csv"] * bool(ROTH_SCORES["slides"]),
        patches=["results/studies/{study}/colorectal/table2.csv"] * bool(ROTH_SCORES["patches"]),
        costs=[f"results/encoders/{name}.json" for name in rule_inputs.finetunings(COLORECTAL)],
        published=os.path.relpath(BASE / "config/published/roth2024_text.csv"),
    output:
        **figure_files("results/studies/{study}/colorectal/figure1", ROTH, "Figure 1"),
    log:
        "results/logs/roth_figure1/{study}.log",
    resources:
        **SMALL_JOB,
    params:
        about=lambda w: colorectal_facts(COLORECTAL),
    script:
        "../scripts/roth_figure1.py"


rule roth_figure2:
    """Draw Figure 2 of Roth et al. 2024: performance over the iterations of finetuning."""
    input:
        library("roth_figure2"),
        scores=[ROTH_SCORE.format(run=run) for run in rule_inputs.checkpoint_runs(COLORECTAL)],
        curve=[
            f"results/encoders/{name}.csv"
            for name in rule_inputs.monitored_finetunings(COLORECTAL)
        ],
    output:
        **figure_files("results/studies/{study}/colorectal/figure2", ROTH, "Figure 2"),
    log:
        "results/logs/roth_figure2/{study}.log",
    resources:
        **SMALL_JOB,
    params:
        about=lambda w: colorectal_facts(COLORECTAL),
    script:
        "../scripts/roth_figure2.py"


rule format_roth_tables:
    """Format Tables 1 to 3 of Roth et al. 2024 for people."""
    input:
        library("format_roth_tables"),
        slides=["results/studies/{study}/colorectal/table1.csv"] * bool(ROTH_SCORES["slides"]),
        patches=["results/studies/{study}/colorectal/table2.csv"] * bool(ROTH_SCORES["patches"]),
        tiles=TILE_LISTS,
        sizes="results/studies/{study}/colorectal/table3.csv",
    output:
        markdown=reported("results/studies/{study}/colorectal/tables.md", ROTH, "Tables 1 to 3"),
    log:
        "results/logs/format_roth_tables/{study}.log",
    resources:
        **SMALL_JOB,
    params:
        about=lambda w: colorectal_facts(COLORECTAL),
    script:
        "../scripts/format_roth_tables.py"
