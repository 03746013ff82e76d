"""Run a frozen encoder over one part of a dataset, so that several jobs share the work."""

from pathlib import Path

from cryotome.core import step_versions
from cryotome.encoders.embedders import ComputeSettings, ModelView, embedder_of_store
from cryotome.encoders.embedding_store import write_shard
from cryotome.runtime.job import run_script


def main(
    patches: Path, cells: list[Path], given: list[Path], shard: Path, recipe: int, card: dict,
    model: str, view: str, part: int, parts: int, partial: Path, batches: Path,
    weights_dir: Path, device: str, threads: int,
) -> None:  # fmt: skip
    assert recipe == step_versions.EMBEDDINGS
    compute = ComputeSettings(weights_dir, device, threads, batches)
    viewed = ModelView(model, card, view)
    embedder = embedder_of_store(patches, viewed, compute, cells=cells, given=given)
    write_shard(shard, patches, embedder, part=(part, parts), partial=partial)


if __name__ == "__main__":
    run_script(main)
