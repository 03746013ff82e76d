"""Find the tissue of one slide and the tiles that hold enough of it."""

from pathlib import Path

from cryotome import recipes
from cryotome.job import run
from cryotome.tile_pictures import save_tiles
from cryotome.tiles import write_tiles


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
    assert recipe == recipes.TILES
    path = slide[0] if slide else None
    found = write_tiles(tiles, path, card, dataset=dataset, slide=name, partial=partial)
    save_tiles(picture, found, f"{dataset}, {name}", card["synthetic"])


if __name__ == "__main__":
    run(main)
