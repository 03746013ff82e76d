"""
Patches become embeddings, once per model and view.

INPUT     results/patches/{dataset}.h5
OUTPUT    results/embeddings/{dataset}/{view}/{model}.h5     embedding (n, dim) float32 · id (n,)
"""


rule embed:
    """Run a frozen encoder over every patch of a dataset."""
    input:
        patches="results/patches/{dataset}.h5",
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
        gpu=lambda w: int(USES_GPU and "gflops" in STUDY.model(w.model)),
        mem_mb=24000,
        runtime=480,
    params:
        recipe=recipes.EMBEDDINGS,
        card=lambda w: facts(STUDY.model(w.model)),
        model="{model}",
        view="{view}",
        partial="results/partial/embed/{dataset}.{view}.{model}",
    script:
        "../scripts/embed.py"
