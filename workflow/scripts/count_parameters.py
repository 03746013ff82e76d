"""Lay out Table 3 of paper 002: sizes of the built networks, printed sizes beside."""

from pathlib import Path

from cryotome.colorectal_tables import table3
from cryotome.job import run
from cryotome.measure import measure
from cryotome.paths import written_whole
from cryotome.published import read_published
from cryotome.sheets import write_csv


def main(published: list[Path], table: Path, cards: dict, study: str) -> None:
    measured = {name: measure(card) for name, card in cards.items() if "architecture" in card}
    with written_whole(table) as beside:
        result = table3(cards, measured, read_published(published))
        write_csv(result.assign(study=study), beside)


if __name__ == "__main__":
    run(main)
