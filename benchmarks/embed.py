"""Patches/s of `embed` from HDF5 to HDF5, beside the limit of the device and the obvious way.

The limit is the bare forward on data already in memory: the fastest of a printed sweep over
batch, layout, threads and compiling, in the same precision. The obvious way is a DataLoader
over HDF5 rows with four workers, a PIL transform and fp32. Weights are random: they change no
speed. Repeats are interleaved; medians are printed.

    python benchmarks/embed.py                                    # ViT-S at 224 px, here
    python benchmarks/embed.py --models kaiko_vitb16 uni virchow2 h_optimus_0 --view paper-bf16
"""

import argparse
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np
import torch
from PIL import Image
from torch import nn
from torchvision import transforms

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow"))

from cryotome.core.cards import Card, load_card
from cryotome.core.store import PATCHES, VERSION, finalise_store
from cryotome.encoders.embedders import ComputeSettings, ModelView
from cryotome.encoders.embedding_store import write_embeddings
from cryotome.encoders.encoder import Encoder
from cryotome.encoders.inference import PRECISIONS, InferenceRunner

STORED, SEEN = 272, 224  # px: what the store holds and what the network sees
PAPER = ("midog2022", "ccmct")  # the datasets of Ganz et al. 2024
REPEATS = 5


def invented_patches(path: Path, count: int) -> None:
    """Write a patch store of noise, laid out as `cut_patches` lays it out."""
    pixels = np.random.default_rng(0).integers(0, 255, (count, STORED, STORED, 3), dtype=np.uint8)
    with h5py.File(path, "w") as file:
        file["patch"], file["id"] = pixels, np.arange(count)
    said = {"format": PATCHES, "version": VERSION, "seen": SEEN}
    finalise_store(path, "patch", said | {"patches_sha256": "none", "cells_sha256": "none"})


def paper_patches() -> int:
    """Return how many patches Ganz et al. 2024 embeds, as its datasets' cards count them."""
    cards = [load_card(ROOT / "config", "datasets", name) for name in PAPER]
    return sum(sum(counts) for card in cards for counts in card["expect"]["cells"].values())


STUDY = paper_patches()


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """Return how long some work takes, the device's queue included."""
    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def matrix_rate(device: torch.device, dtype: torch.dtype, side: int = 0) -> float:
    """Return the GFLOP/s of a large matrix product, the best of ten; `side`: other than ours."""
    side = side or (8192 if device.type == "cuda" else 2048)
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    fastest = min(seconds(lambda: a @ b, device) for _ in range(10))
    return 2 * side**3 / fastest / 1e9


class Bare:
    """The forward alone: a batch that is in the device's memory already, as floats."""

    def __init__(self, encoder: Encoder, device: torch.device, dtype: torch.dtype | None) -> None:
        self.encoder, self.device, self.dtype = encoder, device, dtype

    def prepare(self, batch: int, layout: str, threads: int, *, compiled: bool) -> nn.Module:
        torch.set_num_threads(threads)
        self.x = torch.rand(batch, 3, SEEN, SEEN, device=self.device)
        if layout == "channels_last":
            self.x = self.x.to(memory_format=torch.channels_last)
        return torch.compile(self.encoder) if compiled else self.encoder

    def rate(self, network: nn.Module, patches: int) -> float:
        """Return patches/s over about that many."""
        rounds = max(1, patches // len(self.x))
        lower = torch.autocast(self.device.type, self.dtype, enabled=self.dtype is not None)
        with torch.inference_mode(), lower:
            network(self.x)
            taken = seconds(lambda: [network(self.x) for _ in range(rounds)], self.device)
        return rounds * len(self.x) / taken


def sweep(bare: Bare, patches: int, threads: int) -> tuple[tuple, nn.Module]:
    """Print the rate of every setting; return the fastest one."""
    gpu = bare.device.type == "cuda"
    batches = [64, 128, 256, 512] if gpu else [1, 2, 4, 8, 16, 32, 64]
    layouts, counts = ["contiguous", "channels_last"], [threads] if gpu else [1, threads]
    rates: dict[tuple, float] = {}
    for setting in itertools.product(batches, layouts, counts):
        network = bare.prepare(*setting, compiled=False)
        rates[(*setting, False)] = bare.rate(network, patches)
    fastest = sorted(rates, key=rates.__getitem__)[-2:]
    for setting in fastest:
        network = bare.prepare(*setting[:3], compiled=True)
        rates[(*setting[:3], True)] = bare.rate(network, patches)
    for (batch, layout, count, compiled), rate in rates.items():
        mode = "compiled" if compiled else "eager"
        print(f"  batch {batch:3d}  {layout:13}  threads {count}  {mode:8}  {rate:9.1f} patches/s")
    best = max(rates, key=rates.__getitem__)
    return best, bare.prepare(*best[:3], compiled=best[3])


@dataclass
class Rates:
    """Interleaved repeats: patches/s of the bare forward and of `embed`, and GFLOP/s of matrices."""

    limits: list[float] = field(default_factory=list)
    embeds: list[float] = field(default_factory=list)
    peaks: list[float] = field(default_factory=list)


def interleaved(
    bare: Bare,
    network: nn.Module,
    runner: InferenceRunner,
    patches: Path,
    threads: tuple[int, int],
    **fewer: int,
) -> Rates:
    """Measure the bare forward, `embed` of a whole store, and the matrix rate, in turns.

    Parameters
    ----------
    network
        As `bare` has prepared it.
    threads
        Of the bare forward, and of `embed`.
    fewer
        `repeats`, and the `side` of the matrices, other than ours.
    """
    rates, (alone, ours) = Rates(), threads
    with h5py.File(patches) as file:
        count = len(file["id"])
    for repeat in range(fewer.get("repeats", REPEATS)):
        torch.set_num_threads(alone)
        rates.limits.append(bare.rate(network, count))
        torch.set_num_threads(ours)
        store, partial = patches.with_name(f"{repeat}.h5"), patches.with_name("partial")
        taken = seconds(
            lambda: write_embeddings(store, patches, runner, partial=partial),  # noqa: B023
            runner.on,
        )
        rates.embeds.append(count / taken)
        store.unlink()
        dtype, side = bare.dtype or torch.float32, fewer.get("side", 0)
        rates.peaks.append(matrix_rate(runner.on, dtype, side))
    return rates


class Rows(torch.utils.data.Dataset):
    """One HDF5 row after the other, each through a PIL transform."""

    def __init__(self, path: Path, card: Card) -> None:
        self.path, self.file = path, None
        with h5py.File(path) as file:
            self.count = len(file["id"])
        steps = [transforms.CenterCrop(SEEN), transforms.ToTensor()]
        self.transform = transforms.Compose([*steps, transforms.Normalize(**card["normalise"])])

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, row: int) -> torch.Tensor:
        self.file = self.file or h5py.File(self.path)
        return self.transform(Image.fromarray(self.file["patch"][row]))


def obvious(
    network: nn.Module, patches: Path, card: Card, out: Path, device: torch.device
) -> float:
    """Embed with a DataLoader in fp32 and save; return patches/s."""
    rows = Rows(patches, card)

    def work() -> None:
        loader = torch.utils.data.DataLoader(rows, batch_size=64, num_workers=4)
        parts = []
        for batch in loader:
            with torch.no_grad():
                output = network(batch.to(device))
                output = getattr(output, "last_hidden_state", output)
                parts.append(output.float().cpu())
        with h5py.File(out, "w") as file:
            file["embedding"] = torch.cat(parts).numpy()

    return len(rows) / seconds(work, device)


def measure(name: str, view: str, count: int, threads: int, folder: Path) -> float:
    """Measure one model, print its lines, and return its rate of `embed`, patches/s."""
    card = load_card(ROOT / "config", "models", name)
    card |= {"weights": {"random": 0}}
    patches = folder / "patches.h5"
    if not patches.exists():
        invented_patches(patches, count)
    model = ModelView(name, card, view)
    compute = ComputeSettings(folder, "auto", threads, folder / "batches" / name)
    runner = InferenceRunner(model, model.geometry(SEEN), compute)
    dtype = PRECISIONS.get(model.precision)
    print(f"{name} (random weights), {view}, {count} patches, {runner.on}")
    bare = Bare(runner.encoder, runner.on, dtype)
    best, network = sweep(bare, max(64, count // 8), threads)
    rates = interleaved(bare, network, runner, patches, (best[2], threads))
    limits, embeds, loaders = rates.limits, rates.embeds, []
    for _ in range(2):
        loaders.append(
            obvious(runner.encoder.network, patches, card, folder / "obvious.h5", runner.on)
        )
    limit, embed, plain = map(statistics.median, (limits, embeds, loaders))
    peak = max(rates.peaks)
    spread = ", ".join(f"{a / b:.3f}" for a, b in zip(embeds, limits, strict=True))
    share = limit * card["gflops"] / peak
    print(f"  limit {limit:,.1f} patches/s = {share:.0%} of {peak:,.0f} GFLOP/s, the matrix rate")
    print(f"  embed {embed:,.1f} patches/s = {embed / limit:.3f} of the limit ({spread}),")
    print(f"  batch {runner.batch}; {embed / plain:.2f} times the obvious way ({plain:,.1f})")
    print(
        f"  {STUDY / embed / 60:,.1f} minutes for the {STUDY:,} patches of Ganz et al. 2024",
        flush=True,
    )
    return embed


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=["kaiko_vits16"])
    parser.add_argument("--view", default="paper-fp32")
    parser.add_argument("--patches", type=int, default=512)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        rates = [
            measure(name, given.view, given.patches, given.threads, Path(place))
            for name in given.models
        ]
    minutes = sum(STUDY / rate for rate in rates) / 60
    print(f"all {len(rates)} models: {minutes:,.1f} minutes for {STUDY:,} patches each")
