"""Find the tissue of one slide and the tiles that hold enough of it."""

from pathlib import Path

from cryotome.core import step_versions
from cryotome.data.slides.tile_overlay import save_overlay
from cryotome.data.slides.tile_store import write_tiles
from cryotome.runtime.job import run_script


def main(
    slide: list[Path],
    tiles: Path,
    picture: Path,
    recipe: int,
    card: dict,
    dataset: str,
    name: str,
    partial: Path,
) -> None:
    assert recipe == step_versions.TILES
    path = slide[0] if slide else None
    found = write_tiles(tiles, path, card, dataset=dataset, slide=name, partial=partial)
    save_overlay(picture, found, f"{dataset}, {name}", card["synthetic"])


if __name__ == "__main__":
    run_script(main)
