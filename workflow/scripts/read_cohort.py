"""Read a cohort's tables of labels and slides; list who is left out, and why."""

import sys
from pathlib import Path

from cryotome.core import step_versions
from cryotome.core.tables import save_csv
from cryotome.data.cohorts import check_patient_counts, join_cohort, read_labels, read_slides
from cryotome.data.reading_report import report_reading
from cryotome.data.slides.slide_list import slides_on_disk
from cryotome.runtime.job import run_script


def main(
    labels: list[Path], slide_table: list[Path], patients: Path, slides: Path, excluded: Path,
    recipe: int, card: dict, dataset: str, at_hand: list[str], data_root: Path,
) -> None:  # fmt: skip
    assert recipe == step_versions.COHORTS
    if "images" in card and "synthetic" not in card:
        seen = slides_on_disk(card, data_root)
        passed = seen.passed_over
        report_reading(f"{dataset}, slides", read=len(seen.files), passed_over=passed, unit="files")
    said = read_labels(labels[0], card["labels"])
    if "expect" in card:
        check_patient_counts(said, card["expect"], labels[0])
    table = slide_table[0] if slide_table else None
    found = read_slides(at_hand, table=table, pattern=card.get("patient"))
    cohort = join_cohort(said, found, dataset)
    positive = int(cohort.patients["TARGET"].sum())
    print(
        f"{dataset}: {len(cohort.patients)} patients, {positive} positive, {len(cohort.slides)} "
        f"slides; left out: {cohort.excluded['reason'].value_counts().to_dict()}, see {excluded}",
        file=sys.stderr,
    )
    for path, part in zip((patients, slides, excluded), cohort.tables, strict=True):
        save_csv(part, path)


if __name__ == "__main__":
    run_script(main)
