"""Score the cells of another dataset with the kept models of a row, one file a fold."""

from pathlib import Path
from time import perf_counter

from cryotome.learners.apply import apply_models
from cryotome.runtime import ledger
from cryotome.runtime.job import run_script


def main(
    models: list[Path], store: Path, fitted_on: list[Path], cells: Path, scores: list[Path],
    target: dict, trained: bool, weights_dir: Path, device: str, threads: int,
) -> None:  # fmt: skip
    start, on = perf_counter(), "cpu"
    if trained:
        from cryotome.runtime.devices import set_up_device

        on = str(set_up_device(device, threads, exact=True))
    how = {"weights_dir": weights_dir, "device": on, "embeddings": next(iter(fitted_on), None)}
    apply_models(models, (store, cells, target), scores, **how)
    ledger.report_throughput(folds=len(models), seconds=perf_counter() - start)


if __name__ == "__main__":
    run_script(main)
