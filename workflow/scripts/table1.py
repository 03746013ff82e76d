"""List the study's encoders: published facts, cards, and what is measured."""

from pathlib import Path

from cryotome.core.tables import save_csv
from cryotome.report.tables.ganz2024 import table1
from cryotome.runtime.job import run_script
from cryotome.study.variants import has_network


def main(table: Path, cards: dict, resolutions: dict, study: str, weights_dir: Path) -> None:
    measured = {}
    if any(map(has_network, cards.values())):
        from cryotome.encoders.profile import profile_models

        measured = profile_models(cards, weights_dir)
    result = table1(cards, measured, study=study)
    save_csv(result.assign(at_own_resolution=result["model"].map(resolutions)), table)


if __name__ == "__main__":
    run_script(main)
