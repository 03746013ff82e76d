"""Run a frozen encoder over the tiles of one slide, or several, read straight from them."""

from pathlib import Path

from cryotome import recipes
from cryotome.bags import write_bag
from cryotome.job import run
from cryotome.slide_names import slide_of


def main(
    tiles: list[Path],
    slides: list[Path],
    bags: list[Path],
    recipe: int,
    card: dict,
    model: str,
    view: str,
    partial: Path,
    batches: Path,
    weights_dir: Path,
    device: str,
    threads: int,
) -> None:
    assert recipe == recipes.BAGS
    at_hand = {slide_of(path.name): path for path in slides}
    for store, bag in zip(tiles, bags, strict=True):
        write_bag(
            bag,
            store,
            at_hand.get(bag.stem),
            card,
            model=model,
            view=view,
            partial=partial / bag.stem,
            threads=threads,
            batches=batches,
            weights_dir=weights_dir,
            device=device,
        )


if __name__ == "__main__":
    run(main)
