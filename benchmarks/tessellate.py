"""What does it cost to find the tiles of a slide, and to read them?

On a synthetic pyramidal slide (0.5 µm/px; levels 4 and 16 times smaller, as scanners write them),
interleaved in one run: ours (mask on a thumbnail, grid, shares of tissue), the obvious way
(HistoBistro's: the whole slide at 10x, then its rule on every tile), and the limit (the bytes of
the thumbnail, decoded). Then the tiles are read: ours, one after the other and by two threads,
against OpenSlide's bare `read_region` and against decoding the very tiles of the TIFF that they
lie on. In processor-seconds, and in seconds, where the threads show.

    python benchmarks/tessellate.py            # 8,192 px a side, half a minute
    python benchmarks/tessellate.py 10240
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import openslide
import tifffile

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow"))

from cryotome.data.demo.slides import LABORATORIES, draw_slide
from cryotome.data.images import open_image
from cryotome.data.slides.histobistro import passes_filter
from cryotome.data.slides.tessellation import tessellate, tile_pixels
from cryotome.data.slides.thumbnail import read_thumbnail, thumbnail_resolution
from cryotome.data.slides.tile_grid import read_tile

MPP, TILE = 0.5, 512  # µm/px; side of a tile of the TIFF
TILING = {"mpp": 1.0, "side": 256, "min_tissue_fraction": 0.5}
LEVELS = (4, 16)
REPEATS = 3


def write_slide(path: Path, side: int) -> np.ndarray:
    """Write a slide whose tissue is drawn once and repeated in large; return where it lies."""
    small, tissue = draw_slide(np.random.default_rng(0), LABORATORIES[0], side=1024, share=0.2)
    times = side // 1024
    pixels = small.repeat(times, axis=0).repeat(times, axis=1)
    rng = np.random.default_rng(1)
    for top in range(0, side, 1024):  # texture at full size, in little memory
        band = pixels[top : top + 1024]
        noise = rng.normal(0, 4, band.shape[:2]).astype(np.int16)[..., None]
        np.clip(band + noise, 0, 255, out=band, casting="unsafe")
    how = {"tile": (TILE, TILE), "compression": "zlib", "photometric": "rgb"}
    tags = {"resolution": (1e4 / MPP, 1e4 / MPP), "resolutionunit": "CENTIMETER"}
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(pixels, **how, **tags)
        for level in LEVELS:
            blocks = pixels.reshape(side // level, level, side // level, level, 3)
            tiff.write(blocks.mean(axis=(1, 3)).astype(np.uint8), subfiletype=1, **how)
    return tissue


def whole_first(path: Path) -> int:
    """Read the whole slide at 10x and ask HistoBistro's rule of every tile."""
    image = open_image(path)
    side = image.size[0] // 2
    ten = np.empty((side, side, 3), np.uint8)
    for top in range(0, side, TILING["side"]):
        for left in range(0, side, TILING["side"]):
            end = top + TILING["side"], left + TILING["side"]
            ten[top : end[0], left : end[1]] = read_tile(
                image, 2 * left, 2 * top, reach=512, side=256
            )
    grid = range(0, side, TILING["side"])
    return sum(passes_filter(ten[y : y + 256, x : x + 256]) for y in grid for x in grid)


def decoded(path: Path, level: int, tiles: set[tuple[int, int]] | None = None) -> None:
    """Decode the tiles of one level, all or some (column, row)."""
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages[level]
        across = -(-page.imagewidth // page.tilewidth)
        for index, (offset, count) in enumerate(
            zip(page.dataoffsets, page.databytecounts, strict=True)
        ):
            if tiles is None or (index % across, index // across) in tiles:
                tiff.filehandle.seek(offset)
                page.decode(tiff.filehandle.read(count), index)


def interleaved(
    works: dict[str, Callable[[], object]], clock: Callable[[], float]
) -> dict[str, float]:
    """Return the fastest of some rounds of each, all in each round."""
    taken: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(REPEATS):
        for name, work in works.items():
            start = clock()
            work()
            taken[name].append(clock() - start)
    return {name: min(times) for name, times in taken.items()}


def main() -> None:
    side = int(sys.argv[1]) if len(sys.argv) > 1 else 8192
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "slide.tiff"
        tissue = write_slide(path, side)
        found = tessellate(path, TILING, None)
        rows, columns = found.mask.shape
        known = tissue[:: 1024 // rows, :: 1024 // columns][:rows, :columns]
        overlap = (found.mask & known).sum() / (found.mask | known).sum()
        print(f"{side} px at {MPP} µm/px, {path.stat().st_size / 1e6:,.0f} MB: ", end="")
        print(f"{len(found.coords)} tiles, IoU with the known tissue {overlap:.3f}")
        shrink = thumbnail_resolution(TILING["side"]) / MPP
        costs = interleaved(
            {
                "ours": lambda: tessellate(path, TILING, None),
                "thumbnail": lambda: read_thumbnail(open_image(path), shrink),
                "limit": lambda: decoded(path, len(LEVELS)),
                "whole": lambda: whole_first(path),
            },
            time.process_time,
        )
        print(f"mask and grid     {costs['ours']:8.3f} cpu-s a slide")
        print(f"  its thumbnail   {costs['thumbnail']:8.3f} cpu-s")
        ratio = costs["whole"] / costs["ours"]
        print(f"whole 10x first   {costs['whole']:8.3f} cpu-s: ours costs {ratio:.0f} times less")
        ratio = costs["ours"] / costs["limit"]
        print(f"limit             {costs['limit']:8.3f} cpu-s: ours costs {ratio:.1f} times that")

        def read(threads: int) -> None:
            for _ in tile_pixels(
                open_image(path), found.coords, side=found.side, seen=256, threads=threads
            ):
                pass

        def bare() -> None:
            slide = openslide.OpenSlide(path)
            for x, y in found.coords.tolist():
                slide.read_region((x, y), 0, (TILE, TILE))

        lie_on = {(x // TILE, y // TILE) for x, y in found.coords.tolist()}
        works = {
            "ours": lambda: read(1),
            "ours, two threads": lambda: read(2),
            "OpenSlide alone": bare,
            "decoding alone": lambda: decoded(path, 0, lie_on),
        }
        for clock, unit in ((time.process_time, "cpu-s"), (time.perf_counter, "s")):
            print(f"tiles of {TILE} px, read and shrunk, a {unit}")
            rates = {n: len(found.coords) / t for n, t in interleaved(works, clock).items()}
            for name, rate in rates.items():
                print(f"  {name:18}{rate:8.0f}: ours reaches {100 * rates['ours'] / rate:.0f} %")


if __name__ == "__main__":
    main()
