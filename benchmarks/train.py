"""Patches/s of a training beside the limit of the device and the obvious way.

The limit is the bare step (forward, loss, backward, optimiser) on one batch that is on the device
already: the fastest of a printed sweep over batch, layout, threads and how the step is launched, in
the same precision, with any algorithm that a GPU likes. Ours draws cells, gathers patches of 272
px, shifts, flips, turns, jitters and blurs them, and trains, with algorithms that repeat exactly.
The obvious way is a DataLoader with PIL transforms and four workers, in fp32. Weights and patches
are random: they change no speed. Repeats are interleaved.

    python benchmarks/train.py                            # ResNet50 at 224 px, then the demo's size
    python benchmarks/train.py --batch 16 256 --steps 200 --precision bf16 fp32           # on a GPU
"""

import argparse
import itertools
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torchvision import transforms
from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow"))

from cryotome.core.cards import Card, load_card
from cryotome.learners.endtoend.classifier import build_classifier
from cryotome.learners.endtoend.state import TrainingState
from cryotome.learners.endtoend.training_data import TrainingData, centre_crops, score_cells
from cryotome.learners.loop.batches import BatchLoader
from cryotome.learners.loop.step import autocast_for, precision_of
from cryotome.runtime.devices import describe, pick_device, repeat_exactly, use_threads

CELLS, REPEATS, WORKERS = 600, 5, 4
SIZES = {"resnet50_imagenet": (272, 224), "resnet10t_random": (78, 64)}  # px: stored, seen
BAR = {"resnet50_imagenet": "asked for: 0.90 on a processor, 0.85 on a GPU"}


def waited(work: Callable[[], object], device: torch.device) -> float:
    """Return how long some work takes, the device's queue included."""
    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def invented(stored: int, seen: int) -> TrainingData:
    """Return patches of noise on 20 slides, half of them to train on."""
    rng = np.random.default_rng(0)
    pixels = torch.from_numpy(rng.integers(0, 255, (CELLS, stored, stored, 3), dtype=np.uint8))
    at = np.arange(CELLS)
    role = np.where(at % 2, "train", "validation")
    label, slide = rng.integers(2, size=CELLS), at % 20
    roles = pd.DataFrame({"id": at, "role": role, "label": label, "slide": slide, "row": at})
    return TrainingData(pixels, roles, {"seen": seen})


def classifier(model: str, seen: int, device: torch.device, **changes: Card) -> nn.Module:
    """Return a model with a linear layer; `head`: the card that says what trains; `arguments`: changed."""
    card = load_card(ROOT / "config", "models", model) | {"weights": {"random": 0}}
    card["arguments"] = card["arguments"] | changes.pop("arguments", {})
    return build_classifier(card, model, Path(), side=seen, seed=0, **changes)[0].to(device)


def free_choice(device: torch.device) -> None:
    """Undo `repeat_exactly`, and let a GPU try which convolution is fastest."""
    torch.use_deterministic_algorithms(False)
    torch.backends.cudnn.benchmark = device.type == "cuda"


class Bare:
    """The step alone, on one batch of floats."""

    def __init__(self, network: nn.Module, seen: int, card: Card, device: torch.device) -> None:
        self.network, self.device = network.train(), device
        self.seen, self.precision = seen, precision_of(card, device)

    def prepare(self, batch: int, layout: str, threads: int, launch: str) -> Callable[[], None]:
        """Return a step under these settings, warm."""
        torch.set_num_threads(threads)
        form = torch.channels_last if layout == "channels_last" else torch.contiguous_format
        self.network.to(memory_format=form)
        x = torch.rand(batch, 3, self.seen, self.seen, device=self.device).to(memory_format=form)
        y = (torch.arange(batch, device=self.device) % 2).float()
        network = torch.compile(self.network) if "compiled" in launch else self.network
        optimizer = torch.optim.AdamW(self.network.parameters(), lr=1e-4, fused=True)

        def gradients() -> None:
            optimizer.zero_grad(set_to_none=True)
            with autocast_for(self.device, self.precision):
                logits = network(x)
            binary_cross_entropy_with_logits(logits.float().flatten(), y).backward()

        backward = self._captured(gradients) if "captured" in launch else gradients

        def step() -> None:
            torch.set_num_threads(threads)
            backward()
            optimizer.step()

        step(), step()
        return step

    def _captured(self, gradients: Callable[[], None]) -> Callable[[], None]:
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                gradients()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            gradients()
        return graph.replay


def rate(step: Callable[[], None], batch: int, steps: int, device: torch.device) -> float:
    return batch * steps / waited(lambda: [step() for _ in range(steps)], device)


def sweep(bare: Bare, batch: int, steps: int, threads: int) -> tuple[int, Callable[[], None]]:
    """Print the rate of every setting; return the fastest one's batch and step."""
    gpu = bare.device.type == "cuda"
    batches = sorted({batch, 32, 64}) if gpu else sorted({max(1, batch // 2), batch, 2 * batch})
    counts, launches = [threads] if gpu else sorted({1, threads}), ["eager"]
    layouts = ["contiguous", "channels_last"]
    launches += ["captured"] if gpu else []
    rates = {}
    for setting in itertools.product(batches, layouts, counts, launches):
        step = bare.prepare(*setting)
        rates[setting] = rate(
            step, setting[0], max(2, steps * batch // setting[0] // 3), bare.device
        )
    best = max(rates, key=rates.__getitem__)
    for launch in ["compiled", "compiled, captured"] if gpu else ["compiled"]:
        setting = (*best[:3], launch)
        rates[setting] = rate(bare.prepare(*setting), best[0], steps, bare.device)
    for (size, layout, count, launch), found in rates.items():
        print(
            f"  batch {size:3}  {layout:13}  threads {count}  {launch:18}  {found:9.1f} patches/s"
        )
    best = max(rates, key=rates.__getitem__)
    return best[0], bare.prepare(*best)


def some(transform: nn.Module, share: float) -> nn.Module:
    return transforms.RandomApply([transform], share)


class Views(torch.utils.data.Dataset):
    """The obvious data path: a PIL image through torchvision's transforms, one at a time."""

    def __init__(self, data: TrainingData, settings: Card) -> None:
        reach = int(settings["shift"] * data.side)
        edge = (data.pixels.shape[1] - data.side) // 2 - reach
        self.pixels, self.rows = data.pixels, data.cells("train")
        self.transform = transforms.Compose(
            [
                transforms.CenterCrop(data.pixels.shape[1] - 2 * edge),
                transforms.RandomCrop(data.side),
                transforms.RandomHorizontalFlip(settings["flip_probability"]),
                transforms.RandomVerticalFlip(settings["flip_probability"]),
                some(transforms.ColorJitter(*settings["jitter"]), settings["jitter_probability"]),
                some(
                    transforms.GaussianBlur(5, settings["blur_sigma"]), settings["blur_probability"]
                ),
                some(transforms.RandomRotation(180), settings["rotation_probability"]),
                transforms.ToTensor(),
            ]
        )

    def __len__(self) -> int:
        return len(self.rows.rows)

    def __getitem__(self, at: int) -> tuple[Tensor, float]:
        image = Image.fromarray(self.pixels[int(self.rows.rows[at])].numpy())
        return self.transform(image), float(self.rows.label[at])


class Obvious:
    """A training as a first version does it: a DataLoader, fp32, one launch at a time."""

    def __init__(self, model: str, data: TrainingData, card: Card, device: torch.device) -> None:
        network = classifier(model, data.side, device)
        self.network = network.to(memory_format=torch.contiguous_format).train()
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=1e-4)
        self.views, self.batch, self.device = (
            Views(data, card["augment"]),
            card["batch"],
            device,
        )

    def rate(self, steps: int) -> float:
        """Return patches/s over so many steps, the start of the workers left out."""
        drawn = torch.utils.data.RandomSampler(
            self.views, replacement=True, num_samples=(steps + 2) * self.batch
        )
        loader = torch.utils.data.DataLoader(
            self.views,
            batch_size=self.batch,
            sampler=drawn,
            num_workers=WORKERS,
        )
        batches = iter(loader)
        self._learn(batches, 2)
        return self.batch * steps / waited(lambda: self._learn(batches, steps), self.device)

    def _learn(self, batches: Iterator, count: int) -> None:
        for views, target in itertools.islice(batches, count):
            logits = self.network(views.to(self.device)).flatten()
            loss = binary_cross_entropy_with_logits(logits, target.float().to(self.device))
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            loss.item()


def paper_hours(speed: float, scoring: float) -> str:
    """Return the GPU-hours of the trainings of Ganz et al. 2024: steps, looks at validation, test scores."""
    card = load_card(ROOT / "config", "heads", "endtoend")
    looks = card["steps"] // card["evaluate_every"]
    trainings, scored = 0, 0
    for name in ("midog2022", "ccmct"):
        cells = load_card(ROOT / "config", "datasets", name)["expect"]["cells"]
        count = sum(map(sum, cells.values()))
        pools = [(count, share) for share in (0.001, 0.01, 0.1, 1.0)]
        pools += [(sum(domain), 1.0) for domain in cells.values()] if len(cells) > 1 else []
        for cells_of, share in pools:
            watched = 0.2 * 0.8 * cells_of * share
            others = count - cells_of  # cells of other domains are test cells too
            trainings += 5
            scored += 5 * (looks * watched + 2 * (watched + 0.2 * cells_of + others))
    steps = trainings * card["steps"] * card["batch"] / speed / 3600
    seen = scored / scoring / 3600
    return f"{trainings} trainings: {steps:,.1f} h of steps and {seen:,.1f} h of looks and scores"


def measure(model: str, batch: int, precision: str, steps: int, threads: int) -> None:
    """Measure one size and print its lines."""
    device, (stored, seen) = pick_device("auto"), SIZES[model]
    use_threads(threads)
    card = load_card(ROOT / "config", "heads", "endtoend") | {
        "batch": batch,
        "precision": precision,
    }
    data = invented(stored, seen)
    loader = BatchLoader(data.pixels, device)
    print(f"{model}, {seen} px, batch {batch}, {precision}; {describe(device)}; {loader.where}")
    free_choice(device)
    size, bare = sweep(
        Bare(classifier(model, seen, device), seen, card, device), batch, steps, threads
    )
    network = classifier(model, seen, device)
    state = TrainingState(network, data, card, seed=0, loader=loader, checkpoint=None)
    first, bar = Obvious(model, data, card, device), tqdm(disable=True)
    repeat_exactly(device)
    state.learn(5, bar)
    limits, ours, plain = [], [], []
    for _ in range(REPEATS):
        free_choice(device)
        limits.append(rate(bare, size, max(1, steps * batch // size), device))
        torch.set_num_threads(threads)
        plain.append(first.rate(max(2, steps // 5)))
        repeat_exactly(device)
        ours.append(batch * steps / waited(lambda: state.learn(steps, bar)[0].cpu(), device))
    limit, speed, slow = map(statistics.median, (limits, ours, plain))
    spread = ", ".join(f"{a / b:.3f}" for a, b in zip(ours, limits, strict=True))
    rows = np.tile(data.cells("validation").rows, 2 if device.type == "cpu" else 20)
    view = lambda patches, _: centre_crops(patches, seen)  # noqa: E731
    how = {"views": view, "precision": state.backward.precision}
    score_cells(network, loader, rows[:64], **how)
    rows = rows[: 8 * batch] if device.type == "cpu" else rows
    scoring = len(rows) / waited(lambda: score_cells(network, loader, rows, **how), device)
    print(f"  limit   {limit:,.1f} patches/s, batch {size}")
    print(f"  ours    {speed:,.1f} patches/s = {speed / limit:.3f} of the limit ({spread})")
    print(f"  obvious {slow:,.1f} patches/s; ours is {speed / slow:.1f} times that")
    print(
        f"  scoring {scoring:,.1f} patches/s",
        BAR.get(model, ""),
        sep="\n  " if model in BAR else "",
    )
    if model == "resnet50_imagenet" and batch == 16:
        print(f"  Ganz et al. 2024: {paper_hours(speed, scoring)}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=list(SIZES), choices=list(SIZES))
    parser.add_argument("--batch", nargs="+", type=int, default=[16])
    parser.add_argument("--precision", nargs="+", default=["bf16"], choices=["bf16", "fp32"])
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    given = parser.parse_args()
    for setting in itertools.product(given.models, given.batch, given.precision):
        measure(*setting, given.steps, given.threads)
