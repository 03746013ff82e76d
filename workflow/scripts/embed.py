"""Run a frozen encoder over every patch of a dataset."""

from pathlib import Path

from cryotome.core import step_versions
from cryotome.encoders.embedding_store import write_embeddings
from cryotome.runtime.job import run_script


def main(
    patches: Path, cells: list[Path], embeddings: Path, recipe: int, card: dict, model: str,
    view: str, partial: Path, batches: Path, shards: Path, weights_dir: Path, device: str,
    threads: int,
) -> None:  # fmt: skip
    assert recipe == step_versions.EMBEDDINGS
    write_embeddings(
        embeddings,
        patches,
        card,
        cells=cells,
        model=model,
        partial=partial,
        batches=batches,
        shards=shards,
        view=view,
        weights_dir=weights_dir,
        device=device,
        threads=threads,
    )


if __name__ == "__main__":
    run_script(main)
