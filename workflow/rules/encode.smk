"""
Patches become embeddings, once per model and view.

INPUT     results/patches/{dataset}.h5
          results/cells/{dataset}.csv                                 for the model that knows the slide alone
OUTPUT    results/embeddings/{dataset}/{view}/{model}.h5            embedding (n, dim) float32 · id (n,)
          results/shards/{dataset}/{view}/{model}/{part}of{parts}.h5    the same, some rows; embed takes them over
          results/embeddings/{dataset}/{view}/{model}.parity.csv    views in lower precision: measure, value, limit
"""


rule embed:
    """Run a frozen encoder over every patch of a dataset."""
    input:
        lambda w: made(w.model),
        patches="results/patches/{dataset}.h5",
        # only where it decides the embedding: other models' stores hang on the patches alone
        cells=lambda w: [f"results/cells/{w.dataset}.csv"]
        * (STUDY.model(w.model)["loader"] == "slide_identity"),
    output:
        embeddings="results/embeddings/{dataset}/{view}/{model}.h5",
    log:
        "results/logs/embed/{dataset}.{view}.{model}.log",
    benchmark:
        "results/benchmarks/embed/{dataset}.{view}.{model}.tsv"
    conda:
        "../../envs/cryotome.yaml"
    threads: 2
    resources:
        gpu=on_gpu,
        mem_mb=grows(
            lambda w: 6000 + 3 * estimate_network_mb(STUDY, w.model), on=on_gpu
        ),
        runtime=lasts(
            lambda w: estimate_embed_minutes(STUDY, dict(w.items()), on_gpu=USES_GPU),
            on=on_gpu,
        ),
    params:
        recipe=step_versions.EMBEDDINGS,
        card=lambda w: encoder_card(w.model),
        model="{model}",
        view="{view}",
        partial="results/partial/embed/{dataset}.{view}.{model}",
        batches="results/partial/batches",
        shards="results/shards/{dataset}/{view}/{model}",
    script:
        "../scripts/embed.py"


rule embed_shard:
    """Run a frozen encoder over one part of a dataset, so that several jobs share the work."""
    input:
        lambda w: made(w.model),
        patches="results/patches/{dataset}.h5",
        cells=lambda w: [f"results/cells/{w.dataset}.csv"]
        * (STUDY.model(w.model)["loader"] == "slide_identity"),
    output:
        shard="results/shards/{dataset}/{view}/{model}/{part}of{parts}.h5",
    log:
        "results/logs/embed_shard/{dataset}.{view}.{model}.{part}of{parts}.log",
    benchmark:
        "results/benchmarks/embed_shard/{dataset}.{view}.{model}.{part}of{parts}.tsv"
    wildcard_constraints:
        part="[0-9]+",
        parts="[0-9]+",
    conda:
        "../../envs/cryotome.yaml"
    threads: 2
    resources:
        gpu=on_gpu,
        mem_mb=grows(
            lambda w: 6000 + 3 * estimate_network_mb(STUDY, w.model), on=on_gpu
        ),
        runtime=lasts(
            lambda w: estimate_embed_minutes(STUDY, dict(w.items()), on_gpu=USES_GPU),
            on=on_gpu,
        ),
    params:
        recipe=step_versions.EMBEDDINGS,
        card=lambda w: encoder_card(w.model),
        model="{model}",
        view="{view}",
        part="{part}",
        parts="{parts}",
        partial="results/partial/embed_shard/{dataset}.{view}.{model}.{part}of{parts}",
        batches="results/partial/batches",
    script:
        "../scripts/embed_shard.py"


rule shards:
    """Make every store that is not there yet in parts, for several GPUs; embed then joins them."""
    input:
        lambda w: [
            f"results/shards/{dataset}/{view}/{model}/{part}of{SITE.shards}.h5"
            for dataset, view, model in STUDY.stores
            if not os.path.exists(f"results/embeddings/{dataset}/{view}/{model}.h5")
            for part in range(1, SITE.shards + 1)
        ],
    localrule: True
    conda:
        "../../envs/cryotome.yaml"


rule check_precision:
    """Compare a store made in lower precision with fp32, on a sample; stop where it is too far."""
    input:
        library(
            "scripts/check_precision",
            "cryotome/evaluation/precision_check",
        ),
        lambda w: made(w.model),
        patches="results/patches/{dataset}.h5",
        cells="results/cells/{dataset}.csv",
        embeddings="results/embeddings/{dataset}/{view}/{model}.h5",
    output:
        report="results/embeddings/{dataset}/{view}/{model}.parity.csv",
    log:
        "results/logs/check_precision/{dataset}.{view}.{model}.log",
    conda:
        "../../envs/cryotome.yaml"
    threads: 2
    resources:
        gpu=on_gpu,
        mem_mb=grows(
            lambda w: 6000 + 6 * estimate_network_mb(STUDY, w.model), on=on_gpu
        ),
        runtime=lasts(120, on=on_gpu),
    params:
        card=lambda w: encoder_card(w.model),
        model="{model}",
        view="{view}",
        limits=json.dumps(STUDY.config["parity"], sort_keys=True),
        batches="results/partial/batches",
    script:
        "../scripts/check_precision.py"
