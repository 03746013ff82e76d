"""List the study's encoders: what is printed of them, their cards, and what is measured."""

from pathlib import Path

from cryotome.core.files import written_whole
from cryotome.core.tables import write_csv
from cryotome.report.tables.ganz2024 import table1
from cryotome.runtime.job import run


def main(table: Path, cards: dict, study: str) -> None:
    networks = {name: card for name, card in cards.items() if "architecture" in card}
    measured = {}
    if networks:
        from cryotome.encoders.profile import measure

        measured = {name: measure(card) for name, card in networks.items()}
    with written_whole(table) as beside:
        write_csv(table1(cards, measured, study=study), beside)


if __name__ == "__main__":
    run(main)
