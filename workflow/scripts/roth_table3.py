"""Make Table 3 of Roth et al. 2024: sizes of the built networks, with published sizes."""

from pathlib import Path

from cryotome.core.tables import save_csv
from cryotome.encoders.profile import profile_models
from cryotome.evaluation.published import read_published
from cryotome.report.tables.roth2024 import table3
from cryotome.runtime.job import run_script


def main(published: list[Path], table: Path, cards: dict, study: str, weights_dir: Path) -> None:
    measured = profile_models(cards, weights_dir)
    result = table3(cards, measured, read_published(published))
    save_csv(result.assign(study=study), table)


if __name__ == "__main__":
    run_script(main)
