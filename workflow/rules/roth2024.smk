"""
Tables and figures of Roth et al. 2024, from the scores of patches and of slides.

INPUT     results/scores/…, results/encoders/{finetune}.json, .csv    its cost and learning curve
OUTPUT    results/studies/{study}/colorectal/…
"""

from cryotome.study import rule_inputs
from cryotome.study.gather_facts import roth_facts

ROTH_SCORES = {
    kind: [
        SCORES.format(row=run, **run._asdict()) for run in rule_inputs.row_runs(COLORECTAL, kind)
    ]
    for kind in ("slides", "patches")
}
ROTH_FACTS = {"facts": lambda w: asdict(roth_facts(STUDY))}
TILE_LISTS = expand("results/tiles/{name}/classify.csv", name=rule_inputs.tiled_cohorts(COLORECTAL))


rule roth_table1:
    """Make Table 1 of Roth et al. 2024: AUROC over patients, with published numbers."""
    input:
        library("roth_table1"),
        TILE_LISTS,  # for people to read
        scores=ROTH_SCORES["slides"],
        published=PUBLISHED,
    output:
        table=reported("results/studies/{study}/colorectal/table1.csv"),
    log:
        "results/logs/roth_table1/{study}.log",
    resources:
        **SMALL_JOB,
    params:
        **ROTH_FACTS,
    script:
        "../scripts/roth_table1.py"


use rule roth_table1 as roth_table2 with:
    input:
        library("roth_table1"),
        scores=ROTH_SCORES["patches"],
        published=PUBLISHED,
    output:
        table=reported("results/studies/{study}/colorectal/table2.csv"),
    log:
        "results/logs/roth_table2/{study}.log",


rule roth_table3:
    """Make Table 3 of Roth et al. 2024: sizes of the built networks, with published sizes."""
    input:
        library("roth_table3"),
        published=PUBLISHED,
    output:
        table=reported("results/studies/{study}/colorectal/table3.csv"),
    log:
        "results/logs/roth_table3/{study}.log",
    resources:
        **SMALL_JOB,
    params:
        cards=lambda w: {name: with_code_hash(STUDY.model(name)) for name in COLORECTAL.models},
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
        **figure_files("results/studies/{study}/colorectal/figure1"),
    log:
        "results/logs/roth_figure1/{study}.log",
    resources:
        **SMALL_JOB,
    params:
        **ROTH_FACTS,
    script:
        "../scripts/roth_figure1.py"


rule roth_figure2:
    """Draw Figure 2 of Roth et al. 2024: performance over the iterations of finetuning."""
    input:
        library("roth_figure2"),
        scores=[
            SCORES.format(row=run, **run._asdict())
            for run in rule_inputs.checkpoint_runs(COLORECTAL)
        ],
        curve=expand(
            "results/encoders/{name}.csv", name=rule_inputs.figure2_finetunings(COLORECTAL)
        ),
    output:
        **figure_files("results/studies/{study}/colorectal/figure2"),
    log:
        "results/logs/roth_figure2/{study}.log",
    resources:
        **SMALL_JOB,
    params:
        **ROTH_FACTS,
    script:
        "../scripts/roth_figure2.py"
