"""
Annotations become cells, cells become patches, and every cell gets its role.

INPUT     {data_root}/…                                annotations and images, or invented ones
OUTPUT    results/cells/{dataset}.csv                  id, image, slide, x, y, domain, label, source_row
          results/patches/{dataset}.h5                 patch (n, side, side, 3) uint8 · id (n,)
          results/audits/{dataset}.csv                 what is odd, and which cells the splits leave out
          results/audits/{dataset}.windows.csv         where the network looks for each cell
          results/splits/{dataset}/{scheme}/fraction={fraction}/fold={fold}.csv     id, role
          results/splits/{dataset}/{scheme}/fraction={fraction}/fold={fold}.leakage.csv     what a split lets through
"""


rule make_demo:
    """Invent tissue with a known signal, in the formats of MIDOG and CCMCT."""
    output:
        rois="results/demo/rois/annotations.json",
        slides="results/demo/slides/annotations.sqlite",
    log:
        "results/logs/make_demo/demo.log",
    conda:
        "../../envs/cryotome.yaml"
    resources:
        mem_mb=grows(2000),
        runtime=lasts(20),
    params:
        recipe=step_versions.DEMO,
    script:
        "../scripts/make_demo.py"


rule read_cells:
    """Read a dataset's annotations into one table of cells."""
    input:
        annotations=lambda w: annotation_file(STUDY, SITE, w.dataset),
    output:
        cells="results/cells/{dataset}.csv",
    log:
        "results/logs/read_cells/{dataset}.log",
    conda:
        "../../envs/cryotome.yaml"
    resources:
        mem_mb=grows(4000),
        runtime=lasts(30),
    params:
        recipe=step_versions.CELLS,
        card=lambda w: without_notes(
            STUDY.dataset(w.dataset),
            *["synthetic", "reader", "images", "reading", "classes", "domains"],
            *["expect", "permute_labels", "slides"],
        ),
        dataset="{dataset}",
    script:
        "../scripts/read_cells.py"


rule cut_patches:
    """Decode every cell's patch once."""
    input:
        lambda w: require_images(STUDY, SITE, w.dataset),
        annotations=lambda w: annotation_file(STUDY, SITE, w.dataset),
        cells="results/cells/{dataset}.csv",
    output:
        patches="results/patches/{dataset}.h5",
    log:
        "results/logs/cut_patches/{dataset}.log",
    benchmark:
        "results/benchmarks/cut_patches/{dataset}.tsv"
    # a slide that crashes the job is named, or left out, by the second attempt
    retries: 1
    conda:
        "../../envs/cryotome.yaml"
    threads: 8
    resources:
        mem_mb=grows(8000),
        runtime=lasts(240),
    params:
        recipe=step_versions.PATCHES,
        card=lambda w: without_notes(
            STUDY.dataset(w.dataset),
            *["synthetic", "images", "patch", "mpp", "mpp_overrides_file", "reader"],
            *["reading", "classes"],
        ),
        dataset="{dataset}",
        broken=lambda w: STUDY.policies(w.dataset)["broken"],
        partial="results/partial/cut_patches/{dataset}",
    script:
        "../scripts/cut_patches.py"


rule audit:
    """Find what is odd about a dataset's cells before any split is drawn."""
    input:
        lambda w: require_images(STUDY, SITE, w.dataset),
        cells="results/cells/{dataset}.csv",
        patches="results/patches/{dataset}.h5",
    output:
        table="results/audits/{dataset}.csv",
        sheet="results/audits/{dataset}.png",
    log:
        "results/logs/audit/{dataset}.log",
    conda:
        "../../envs/cryotome.yaml"
    resources:
        mem_mb=grows(4000),
        runtime=lasts(60),
    params:
        recipe=step_versions.AUDIT,
        card=lambda w: without_notes(
            STUDY.dataset(w.dataset),
            *["synthetic", "images", "patch", "mpp", "mpp_overrides_file", "reader"],
            *["classes", "slides"],
        ),
        policies=lambda w: json.dumps(STUDY.policies(w.dataset), sort_keys=True),
        dataset="{dataset}",
    script:
        "../scripts/audit.py"


rule place_windows:
    """Say where the network looks for each cell, in px of its image."""
    input:
        lambda w: require_images(STUDY, SITE, w.dataset),
        cells="results/cells/{dataset}.csv",
        patches="results/patches/{dataset}.h5",
    output:
        windows="results/audits/{dataset}.windows.csv",
    log:
        "results/logs/place_windows/{dataset}.log",
    conda:
        "../../envs/cryotome.yaml"
    resources:
        mem_mb=grows(4000),
        runtime=lasts(60),
    params:
        recipe=step_versions.WINDOWS,
        card=lambda w: without_notes(
            STUDY.dataset(w.dataset),
            *["synthetic", "images", "patch", "mpp", "mpp_overrides_file", "reader"],
        ),
    script:
        "../scripts/place_windows.py"


rule split:
    """Draw the train, validation and test cells of one fold."""
    input:
        cells="results/cells/{dataset}.csv",
        # where nothing is dropped, an audit made again changes no split; all crops of a
        # dataset hang on one audit, so that their splits are the same
        audit=lambda w: (str if STUDY.drops(w.dataset) else ancient)(
            f"results/audits/{STUDY.split_source(w.dataset)}.csv"
        ),
        windows=lambda w: [
            f"results/audits/{STUDY.split_source(w.dataset)}.windows.csv"
        ]
        * STUDY.needs_windows(w.scheme),
    # a job per fold: a fold that is added touches no finished one, on which trainings hang
    output:
        split="results/splits/{dataset}/{scheme}/fraction={fraction}/fold={fold}.csv",
        about="results/splits/{dataset}/{scheme}/fraction={fraction}/fold={fold}.json",
    log:
        "results/logs/split/{dataset}.{scheme}.fraction={fraction}.fold={fold}.log",
    conda:
        "../../envs/cryotome.yaml"
    resources:
        mem_mb=grows(1500, share=len(STUDY.folds)),
        runtime=lasts(15, share=2),
    params:
        recipe=step_versions.SPLITS,
        card=lambda w: STUDY.split_card(w.dataset, w.scheme),
        drops=lambda w: STUDY.drops(w.dataset),
        scheme="{scheme}",
        fraction="{fraction}",
        fold="{fold}",
    script:
        "../scripts/split.py"


rule audit_splits:
    """Measure what every fold of a split lets through from training to test."""
    input:
        library(
            "scripts/audit_splits",
            "cryotome/evaluation/leakage",
            "cryotome/data/overlap",
            "cryotome/evaluation/scores",
            "cryotome/evaluation/statistics/slide_pairs",
        ),
        cells="results/cells/{dataset}.csv",
        windows="results/audits/{dataset}.windows.csv",
        findings="results/audits/{dataset}.csv",
        splits=expand(
            "results/splits/{{dataset}}/{{scheme}}/fraction={{fraction}}/fold={fold}.csv",
            fold=STUDY.folds,
        ),
    output:
        leakage=expand(
            "results/splits/{{dataset}}/{{scheme}}/fraction={{fraction}}/fold={fold}.leakage.csv",
            fold=STUDY.folds,
        ),
    log:
        "results/logs/audit_splits/{dataset}.{scheme}.fraction={fraction}.log",
    conda:
        "../../envs/cryotome.yaml"
    resources:
        mem_mb=grows(4000),
        runtime=lasts(15, share=2),
    params:
        scheme="{scheme}",
        slides=lambda w: STUDY.dataset(w.dataset).get("slides", "named"),
    script:
        "../scripts/audit_splits.py"
