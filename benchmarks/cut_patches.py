"""How fast are patches cut, against the obvious way and against the disk?

Cuts every cell of a synthetic MIDOG-sized region (flat, uncompressed TIFF) three ways in one run:
ours (one open per image, mapped windows), the obvious way (PIL opens and decodes the whole image
for each patch, as OpenSlide's fallback for flat TIFF does), and the limit (read the same bytes of
the patches back from one contiguous file). Then the whole store of twenty such regions, with
journal, checksums, content hash and passport, against writing its bytes once and syncing them.
Prints patches per second and the ratios.

    python benchmarks/cut_patches.py
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import tifffile
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow"))

from cryotome.data.patches import cut_image, write_patches
from cryotome.study.geometry import stored_side

CARD = {
    "reader": "midog_json",
    "patch": {"side": 224, "resolution": "native", "border": "black"},
}
SIZE = (5412, 7215)  # a Hamamatsu XR region of MIDOG 2022, height and width in px
CELLS = 60  # a region of MIDOG 2022 holds 58 cells on average
REGIONS = 20  # of the whole store
OBVIOUS = 6  # patches cut the obvious way; it is too slow for all


def seconds(work: Callable[[], object], repeats: int = 3) -> float:
    """Return the fastest of some repeats."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def whole_store(folder: Path, cells: pd.DataFrame, patches: np.ndarray) -> tuple[float, float]:
    """Return patches/s of a store of many regions, and of writing and syncing its bytes."""
    names = [f"{number:03d}.tiff" for number in range(1, REGIONS + 1)]
    for name in names[1:]:
        (folder / name).symlink_to(folder / "001.tiff")
    every = pd.concat([cells.assign(image=name) for name in names], ignore_index=True)
    every.assign(id=every.index).to_csv(folder / "cells.csv", index=False)

    def store() -> None:
        how = {"dataset": "d", "broken": "refuse", "partial": folder / "partial", "threads": 1}
        write_patches(folder / "p.h5", folder / "cells.csv", folder, CARD, **how)

    def once() -> None:
        with open(folder / "bytes", "wb") as file:
            for _ in range(REGIONS):
                file.write(patches.tobytes())
            file.flush()
            os.fsync(file.fileno())

    return REGIONS * CELLS / seconds(store), REGIONS * CELLS / seconds(once)


def main() -> None:
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pixels = rng.integers(0, 255, (*SIZE, 3), dtype=np.uint8)
        tifffile.imwrite(folder / "001.tiff", pixels, photometric="rgb")
        places = rng.uniform(200, np.array(SIZE[::-1]) - 200, size=(CELLS, 2))
        cells = pd.DataFrame({"image": "001.tiff", "x": places[:, 0], "y": places[:, 1]})
        patches = np.stack(list(cut_image(cells, folder / "001.tiff", CARD)))
        np.save(folder / "patches.npy", patches)

        def obvious() -> None:
            for x, y in places[:OBVIOUS]:
                with Image.open(folder / "001.tiff") as image:
                    np.asarray(image.crop((int(x) - 136, int(y) - 136, int(x) + 136, int(y) + 136)))

        ours = CELLS / seconds(lambda: np.stack(list(cut_image(cells, folder / "001.tiff", CARD))))
        plain = OBVIOUS / seconds(obvious, repeats=1)
        limit = CELLS / seconds(lambda: np.load(folder / "patches.npy"))
        whole, once = whole_store(folder, cells, patches)
    side = stored_side(CARD["patch"]["side"])
    print(f"ours    {ours:10.0f} patches/s of {side} px")
    print(f"obvious {plain:10.1f} patches/s: ours is {ours / plain:.0f} times as fast")
    print(f"limit   {limit:10.0f} patches/s: ours reaches {100 * ours / limit:.0f} %")
    print(f"store   {whole:10.0f} patches/s, whole and resumable")
    print(f"limit   {once:10.0f} patches/s: ours reaches {100 * whole / once:.0f} %")


if __name__ == "__main__":
    main()
