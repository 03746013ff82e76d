"""List the study's encoders: a view of their cards."""

from pathlib import Path

from cryotome.job import run
from cryotome.paths import written_whole
from cryotome.tables import table1


def main(table: Path, cards: dict, study: str) -> None:
    with written_whole(table) as beside:
        table1(cards, study=study).to_csv(beside, index=False)


if __name__ == "__main__":
    run(main)
