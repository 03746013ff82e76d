"""
Annotations become cells, cells become patches, and an audit lists what is odd.

INPUT     {data_root}/…                            annotations and images, or synthetic ones
OUTPUT    results/cells/{dataset}.csv              id, image, slide, x, y, domain, label, source_row, votes
          results/patches/{dataset}.h5             patch (n, side, side, 3) uint8 · id (n,)
          results/audits/{dataset}.csv             oddities, and the cells that splits leave out
          results/audits/{dataset}.windows.csv     what the network sees of each cell
"""


rule read_cells:
    """Read a dataset's annotations into one table of cells."""
    input:
        annotations=lambda w: annotation_file(STUDY, SITE, w.dataset),
    output:
        cells="results/cells/{dataset}.csv",
    log:
        "results/logs/read_cells/{dataset}.log",
    priority: 1  # much waits for it
    resources:
        mem_mb=memory_with_retries(4000),
        runtime=runtime_with_retries(30),
    params:
        recipe=step_versions.CELLS,
        card=dataset_card(
            "synthetic reader images reading classes raters domains expect permute_labels slides unlabelled"
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
    priority: 1  # much waits for it
    # the second attempt names, or leaves out, a slide that crashes the job
    retries: 1
    threads: 8
    resources:
        mem_mb=memory_with_retries(8000),
        runtime=runtime_with_retries(240),
    params:
        recipe=step_versions.PATCHES,
        card=dataset_card("synthetic images patch mpp mpp_overrides_file reader reading classes"),
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
    resources:
        mem_mb=memory_with_retries(4000),
        runtime=runtime_with_retries(60),
    params:
        recipe=step_versions.AUDIT,
        card=dataset_card("synthetic images patch mpp mpp_overrides_file reader classes slides"),
        policies=lambda w: json.dumps(STUDY.policies(w.dataset), sort_keys=True),
        dataset="{dataset}",
    script:
        "../scripts/audit.py"


rule place_windows:
    """Find the window that the network sees of each cell, in px of its image."""
    input:
        lambda w: require_images(STUDY, SITE, w.dataset),
        cells="results/cells/{dataset}.csv",
        patches="results/patches/{dataset}.h5",
    output:
        windows="results/audits/{dataset}.windows.csv",
    log:
        "results/logs/place_windows/{dataset}.log",
    resources:
        mem_mb=memory_with_retries(4000),
        runtime=runtime_with_retries(60),
    params:
        recipe=step_versions.WINDOWS,
        card=dataset_card("synthetic images patch mpp mpp_overrides_file reader"),
    script:
        "../scripts/place_windows.py"
