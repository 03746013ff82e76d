"""Run a frozen encoder over the tiles of one slide, read straight from it."""

from pathlib import Path

from cryotome import recipes
from cryotome.bags import write_bag
from cryotome.job import run


def main(
    tiles: Path,
    slide: list[Path],
    bag: Path,
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
    write_bag(
        bag,
        tiles,
        next(iter(slide), None),
        card,
        model=model,
        view=view,
        partial=partial,
        threads=threads,
        **{"batches": batches, "weights_dir": weights_dir, "device": device},
    )


if __name__ == "__main__":
    run(main)
