"""Lay every number that paper 002 prints beside what the study measured, with a verdict."""

from pathlib import Path

from cryotome.colorectal_tables import judged, read_summaries
from cryotome.job import run
from cryotome.paths import written_whole
from cryotome.published import read_published


def main(scores: list[Path], published: list[Path], verdicts: Path, about: dict) -> None:
    with written_whole(verdicts) as beside:
        table = judged(read_summaries(scores), read_published(published), about)
        table.to_csv(beside, index=False)


if __name__ == "__main__":
    run(main)
