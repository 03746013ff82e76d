"""
Raters: every row beside the raters whose votes made the labels, for datasets with `raters:`.

INPUT     results/predictions/…                         at the largest fraction of each scheme
          results/cells/{dataset}.csv                   labels, and the vote of each rater
OUTPUT    results/studies/{study}/raters.csv, .pdf, .png
"""


rule compare_raters:
    """Measure every row and every rater against the raters, and rows where raters agree or not."""
    input:
        library("compare_raters"),
        cells=expand("results/cells/{dataset}.csv", dataset=STUDY.rated),
        predictions=all_runs(
            [block for block in STUDY.blocks if block[0] in STUDY.rated],
            PREDICTIONS,
            fractions=largest_fraction,
        ),
        calibration=CALIBRATION,
    output:
        **figure_files("results/studies/{study}/raters"),
    log:
        "results/logs/compare_raters/{study}.log",
    resources:
        **LARGE_JOB,
    params:
        **ROW_FACTS,
    script:
        "../scripts/compare_raters.py"
