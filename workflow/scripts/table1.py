"""List the study's encoders: published facts, cards, and what is measured."""

from pathlib import Path

from cryotome.core.tables import save_csv
from cryotome.report.tables.ganz2024 import table1
from cryotome.runtime.job import run_script


def main(table: Path, cards: dict, resolutions: dict, study: str) -> None:
    networks = {name: card for name, card in cards.items() if "architecture" in card}
    measured = {}
    if networks:
        from cryotome.encoders.profile import profile_encoder

        measured = {name: profile_encoder(card) for name, card in networks.items()}
    result = table1(cards, measured, study=study)
    save_csv(result.assign(at_own_resolution=result["model"].map(resolutions)), table)


if __name__ == "__main__":
    run_script(main)
