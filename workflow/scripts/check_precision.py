"""Compare a store made in lower precision with fp32, on a sample; stop where it is too far."""

from pathlib import Path

from cryotome.core.files import atomic_write
from cryotome.core.tables import write_csv
from cryotome.evaluation.precision_check import StoreFiles, check_precision
from cryotome.runtime.job import run_script


def main(
    patches: Path,
    cells: Path,
    embeddings: Path,
    report: Path,
    card: dict,
    model: str,
    view: str,
    limits: dict,
    batches: Path,
    weights_dir: Path,
    device: str,
    threads: int,
) -> None:
    found = check_precision(
        StoreFiles(embeddings, patches, cells),
        card,
        model=model,
        view=view,
        limits=limits,
        batches=batches,
        weights_dir=weights_dir,
        device=device,
        threads=threads,
    )
    with atomic_write(report) as beside:
        write_csv(found, beside, float_format="%.6g")


if __name__ == "__main__":
    run_script(main)
