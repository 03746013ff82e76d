"""List the study's encoders: what is printed of them, their cards, and what is measured."""

from pathlib import Path

from cryotome.job import run
from cryotome.paths import written_whole
from cryotome.sheets import write_csv
from cryotome.tables import table1


def main(table: Path, cards: dict, study: str) -> None:
    networks = {name: card for name, card in cards.items() if "architecture" in card}
    measured = {}
    if networks:
        from cryotome.measure import measure

        measured = {name: measure(card) for name, card in networks.items()}
    with written_whole(table) as beside:
        write_csv(table1(cards, measured, study=study), beside)


if __name__ == "__main__":
    run(main)
