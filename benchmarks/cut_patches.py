"""How fast are patches cut, against the obvious way and against the disk?

Cuts every cell of a synthetic MIDOG-sized region (flat, uncompressed TIFF) three ways in one run:
ours (one open per image, mapped windows), the obvious way (PIL opens and decodes the whole image
for each patch, as OpenSlide's fallback for flat TIFF does), and the limit (read the same bytes of
the patches back from one contiguous file). Prints patches per second and the two ratios.

    python benchmarks/cut_patches.py
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import tifffile
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "workflow"))

from cryotome.patches import cut_image
from cryotome.windows import stored_side

CARD = {
    "reader": "midog_json",
    "patch": {"side": 224, "resolution": "native", "border": "black"},
}
SIZE = (5412, 7215)  # a Hamamatsu XR region of MIDOG 2022, height and width in px
CELLS = 60  # a region of MIDOG 2022 holds 58 cells on average
OBVIOUS = 6  # patches cut the obvious way; it is too slow for all


def seconds(work: Callable[[], object], repeats: int = 3) -> float:
    """Return the fastest of some repeats."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pixels = rng.integers(0, 255, (*SIZE, 3), dtype=np.uint8)
        tifffile.imwrite(folder / "001.tiff", pixels, photometric="rgb")
        places = rng.uniform(200, np.array(SIZE[::-1]) - 200, size=(CELLS, 2))
        cells = pd.DataFrame({"image": "001.tiff", "x": places[:, 0], "y": places[:, 1]})
        patches = np.stack(list(cut_image(cells, folder, CARD)))
        np.save(folder / "patches.npy", patches)

        def obvious() -> None:
            for x, y in places[:OBVIOUS]:
                with Image.open(folder / "001.tiff") as image:
                    np.asarray(image.crop((int(x) - 136, int(y) - 136, int(x) + 136, int(y) + 136)))

        ours = CELLS / seconds(lambda: np.stack(list(cut_image(cells, folder, CARD))))
        plain = OBVIOUS / seconds(obvious, repeats=1)
        limit = CELLS / seconds(lambda: np.load(folder / "patches.npy"))
    side = stored_side(CARD["patch"]["side"])
    print(f"ours    {ours:10.0f} patches/s of {side} px")
    print(f"obvious {plain:10.1f} patches/s: ours is {ours / plain:.0f} times as fast")
    print(f"limit   {limit:10.0f} patches/s: ours reaches {100 * ours / limit:.0f} %")


if __name__ == "__main__":
    main()
