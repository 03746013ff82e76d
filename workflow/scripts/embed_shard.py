"""Run a frozen encoder over one part of a dataset, so that several jobs share the work."""

from pathlib import Path

from cryotome.core import step_versions
from cryotome.encoders.embedding_store import write_shard
from cryotome.runtime.job import run_script


def main(
    patches: Path, cells: list[Path], shard: Path, recipe: int, card: dict, model: str, view: str,
    part: int, parts: int, partial: Path, batches: Path, weights_dir: Path, device: str,
    threads: int,
) -> None:  # fmt: skip
    assert recipe == step_versions.EMBEDDINGS
    write_shard(
        shard,
        patches,
        card,
        cells=cells,
        model=model,
        part=(part, parts),
        partial=partial,
        batches=batches,
        view=view,
        weights_dir=weights_dir,
        device=device,
        threads=threads,
    )


if __name__ == "__main__":
    run_script(main)
