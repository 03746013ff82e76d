"""Score the slides of another cohort with the kept models of a row; show what they attend to."""

from pathlib import Path
from time import perf_counter

from cryotome.core.tables import write_csv
from cryotome.learners.mil.apply_slides import load_classifiers, score_slides
from cryotome.report.atlas.attention import write_slides
from cryotome.runtime import ledger
from cryotome.runtime.job import run_script


def main(
    models: list[Path], bags: list[Path], slides: list[Path], table: Path, attention: Path,
    tiling: dict, names: list[str], target: str, row: str, notice: str,
) -> None:  # fmt: skip
    start, known = perf_counter(), load_classifiers(models, tiling)
    about = {"dataset": target, "row": row, "notice": notice, "folds": len(known)}
    about |= {"classes": known[0].about["classes"]}
    about |= {"trained_on": "{dataset}, {scheme}".format(**known[0].about)}
    images = dict(zip(names, slides, strict=True))
    scored = write_slides(score_slides(known, bags), images, attention, about)
    write_csv(scored, table, float_format="%.17g")
    ledger.report_throughput(slides=len(scored), seconds=perf_counter() - start)


if __name__ == "__main__":
    run_script(main)
