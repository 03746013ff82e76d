"""
Robustness of embeddings: whether cells are alike by class, or by slide, scanner and domain.

INPUT     results/embeddings/{dataset}/{view}/{model}.h5, predictions of rows trained on one domain
OUTPUT    results/studies/{study}/robustness.csv, .pdf, .png, robustness_loss.csv
"""

from cryotome.study.robustness import robustness_facts


rule measure_robustness:
    """Measure how much slides, scanners and domains decide which embeddings are alike."""
    input:
        library("measure_robustness"),
        cells=expand("results/cells/{dataset}.csv", dataset=STUDY.datasets),
        embeddings=lambda w: [
            f"results/embeddings/{dataset}/{STUDY.view}/{model}.h5"
            for dataset, model in robustness_facts(STUDY).stores
        ],
        predictions=all_runs(STUDY.cross_domain_blocks, PREDICTIONS),
        calibration=CALIBRATION,
    output:
        **figure_files("results/studies/{study}/robustness"),
        correlations=reported("results/studies/{study}/robustness_loss.csv"),
    log:
        "results/logs/measure_robustness/{study}.log",
    resources:
        **LARGE_JOB,
    params:
        **ROW_FACTS,
        how=lambda w: asdict(robustness_facts(STUDY)),
    script:
        "../scripts/measure_robustness.py"
