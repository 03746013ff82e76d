"""
Patches become embeddings, once per model and view.

INPUT     results/patches/{dataset}.h5
          results/cells/{dataset}.csv                                   for slide_identity and own embeddings
          {data_root}/…/{dataset}.h5, .npy                              own embeddings
OUTPUT    results/embeddings/{dataset}/{view}/{model}.h5                embedding (n, dim) float32 · id (n,)
          results/shards/{dataset}/{view}/{model}/{part}of{parts}.h5    some of its rows, for `embed`
          results/embeddings/{dataset}/{view}/{model}.parity.csv        lower precision: measure, value, limit
"""

# only where they decide the embedding: other stores depend on the patches alone
CELLS_OF_IDS = lambda w: [f"results/cells/{w.dataset}.csv"] * (
    STUDY.model(w.model)["loader"] in ("slide_identity", "embeddings")
)
GIVEN = lambda w: own_embeddings(STUDY, SITE, w.dataset, w.model)
EMBED_JOB = gpu_job(
    lambda w: 6000 + 3 * estimates.estimate_network_mb(STUDY, w.model),
    lambda w: estimates.estimate_embed_minutes(STUDY, dict(w.items()), on_gpu=USES_GPU),
)


rule embed:
    """Run a frozen encoder over every patch of a dataset."""
    input:
        lambda w: finetuned_weights(w.model),
        patches="results/patches/{dataset}.h5",
        cells=CELLS_OF_IDS,
        given=GIVEN,
    output:
        embeddings="results/embeddings/{dataset}/{view}/{model}.h5",
    log:
        "results/logs/embed/{dataset}.{view}.{model}.log",
    threads: threads_of("embed")
    resources:
        **EMBED_JOB,
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
        lambda w: finetuned_weights(w.model),
        patches="results/patches/{dataset}.h5",
        cells=CELLS_OF_IDS,
        given=GIVEN,
    output:
        shard="results/shards/{dataset}/{view}/{model}/{part}of{parts}.h5",
    log:
        "results/logs/embed_shard/{dataset}.{view}.{model}.{part}of{parts}.log",
    wildcard_constraints:
        part="[0-9]+",
        parts="[0-9]+",
    threads: threads_of("embed_shard")
    resources:
        **EMBED_JOB,
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


rule embed_all_shards:
    """Make every missing store in parts, for several GPUs; embed then joins them."""
    input:
        lambda w: [
            f"results/shards/{dataset}/{view}/{model}/{part}of{SITE.shards}.h5"
            for dataset, view, model in STUDY.stores
            if not os.path.exists(f"results/embeddings/{dataset}/{view}/{model}.h5")
            for part in range(1, SITE.shards + 1)
        ],
    localrule: True


rule check_precision:
    """Compare a sample of a store in lower precision with fp32; fail where it is too far."""
    input:
        library("check_precision"),
        lambda w: finetuned_weights(w.model),
        patches="results/patches/{dataset}.h5",
        cells="results/cells/{dataset}.csv",
        embeddings="results/embeddings/{dataset}/{view}/{model}.h5",
    output:
        report="results/embeddings/{dataset}/{view}/{model}.parity.csv",
    log:
        "results/logs/check_precision/{dataset}.{view}.{model}.log",
    threads: threads_of("check_precision")
    resources:
        **gpu_job(lambda w: 6000 + 6 * estimates.estimate_network_mb(STUDY, w.model), 120),
    params:
        card=lambda w: encoder_card(w.model),
        model="{model}",
        view="{view}",
        limits=json.dumps(STUDY.config["precision_check"], sort_keys=True),
        batches="results/partial/batches",
    script:
        "../scripts/check_precision.py"
