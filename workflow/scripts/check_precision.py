"""Compare a sample of a store in lower precision with fp32; fail where it is too far."""

from pathlib import Path

from cryotome.core.tables import save_csv
from cryotome.evaluation.precision_check import StoreFiles, check_precision
from cryotome.runtime.job import run_script


def main(
    patches: Path, cells: Path, embeddings: Path, report: Path, card: dict, model: str, view: str,
    limits: dict, batches: Path, weights_dir: Path, device: str, threads: int,
) -> None:  # fmt: skip
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
    save_csv(found, report, float_format="%.6g")


if __name__ == "__main__":
    run_script(main)
