"""Seconds of a step of finetuning DINOv2 beside the limit of the device and the obvious way.

The limit is the bare step on crops that are floats on the device already: the teacher's and the
student's passes over the same shapes, one softmax cross-entropy of each head's rows, backward,
AdamW; the fastest of a printed sweep over attention, threads and compilation, in the same
precision. Ours draws images, crops and masks, cuts, colours, assigns by Sinkhorn-Knopp, learns by
all losses, clips, and moves the teacher. The obvious way is the PIL multi-crop of the released code
in a DataLoader with four workers, in fp32. Weights and images are random: they change no speed.
Repeats are interleaved.

    python benchmarks/dino.py                        # ViT-S/14 at 98 and 42 px, batch 8
    python benchmarks/dino.py --sizes tiny           # what a processor finetunes in minutes
    python benchmarks/dino.py --sizes s_256 g_32     # on a GPU: Roth et al. 2024, with GPU-hours
"""

import argparse
import itertools
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from timm.layers import Attention
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torchvision import transforms

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow"))

from cryotome.core.cards import Card, load_card
from cryotome.learners.dinov2.backbone import build_backbone
from cryotome.learners.dinov2.crops import make_crops
from cryotome.learners.dinov2.images import TrainingImages
from cryotome.learners.dinov2.masks import Masks, draw_masks
from cryotome.learners.dinov2.state import FinetuningState
from cryotome.learners.dinov2.student_teacher import Learner
from cryotome.learners.loop.batches import BatchLoader
from cryotome.learners.loop.step import autocast_for, precision_of
from cryotome.runtime.devices import describe, peak_memory, pick_device, use_threads

REPEATS, WORKERS = 5, 4
CROPS = {"global": {"side": 98, "scale": [0.32, 1.0]}, "local": {"side": 42, "scale": [0.05, 0.32]}}
MODERATE = {"batch": 8, "head": {"prototypes": 4096}, "crops": CROPS}
# card, side of the stored images, and what is changed in finetuning card and network
SIZES: dict[str, tuple[str, int, Card, Card]] = {
    "moderate": ("dinov2_s_nct", 98, MODERATE, {}),
    "tiny": ("dinov2_tiny_amibr", 64, {}, {}),
    "s_256": ("dinov2_s_nct", 224, {}, {}),
    "g_32": ("dinov2_g_nct", 224, {}, {}),
}  # fmt: skip
PAPER = {  # iterations, and hours printed in Roth et al. 2024, section 2.2
    "s_256": ((2_000, "2 h (NCT)"), (30_000, "72 h (TCGA)")),
    "g_32": ((10_000, "not printed"), (60_000, "not printed")),
}
BAR = "asked for: 0.85"


def cards_of(size: str, precision: str) -> tuple[Card, Card, int]:
    """Return the finetuning card, the model card with random weights, and the images' side."""
    name, stored, changes, network = SIZES[size]
    card = load_card(ROOT / "config", "finetunings", name) | {"precision": precision}
    for key, value in changes.items():
        card[key] = card[key] | value if isinstance(value, dict) else value
    base = load_card(ROOT / "config", "models", card["base"]) | {"weights": {"random": 0}}
    return card, base | {"arguments": base["arguments"] | network}, stored


def learner_of(card: Card, base: Card, device: torch.device) -> Learner:
    backbone, _ = build_backbone(base, card["base"], Path(), card)
    learner = Learner(backbone, card, precision_of(card, device))
    learner.prepare(device)
    return learner


def invented(count: int, side: int, device: torch.device) -> TrainingImages:
    rng = np.random.default_rng(0)
    pixels = torch.from_numpy(rng.integers(0, 255, (count, side, side, 3), dtype=np.uint8))
    return TrainingImages(BatchLoader(pixels, device), np.arange(count), None, side, {})


CLOCK = [time.perf_counter]  # `--processor` counts processor seconds instead


def waited(work: Callable[[], object], device: torch.device, clock: Any = None) -> float:
    """Return how long some work takes, the device's queue included."""
    clock = clock or CLOCK[0]
    start = clock()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return clock() - start


class Bare:
    """The passes alone, on crops in memory."""

    def __init__(self, card: Card, base: Card, device: torch.device) -> None:
        self.card, self.device, self.precision = card, device, precision_of(card, device)
        backbone, _ = build_backbone(base, card["base"], Path(), card)
        head = card["head"]
        widths = [backbone.dim, head["hidden"], head["hidden"], head["bottleneck"]]
        layers = [m for a, b in itertools.pairwise(widths) for m in (nn.Linear(a, b), nn.GELU())]
        prototypes = nn.Linear(head["bottleneck"], head["prototypes"], bias=False)
        self.student = nn.ModuleDict(
            {"body": backbone, "points": nn.Sequential(*layers[:-1]), "prototypes": prototypes}
        ).to(device)
        self.teacher = deepcopy(self.student).requires_grad_(False)
        self.optimizer = torch.optim.AdamW(self.student.parameters(), lr=1e-5, fused=True)
        crops, n = card["crops"], card["batch"]
        whole, local = (crops[kind]["side"] for kind in ("global", "local"))
        self.views = [
            torch.rand(2 * n, 3, whole, whole),
            torch.rand(crops["local_count"] * n, 3, local, local),
        ]
        self.views = [view.to(device) for view in self.views]
        rng = np.random.default_rng(0)
        self.masks = Masks.of(draw_masks(2 * n, backbone.grid, card["masks"], rng)).to(device)

    def prepare(self, fused: bool, threads: int, compiled: bool) -> Callable[[], None]:
        """Return a step under these settings, warm."""
        for layer in itertools.chain(self.student.modules(), self.teacher.modules()):
            if isinstance(layer, Attention):
                layer.fused_attn = fused
        bodies = [network["body"] for network in (self.student, self.teacher)]
        bodies = [torch.compile(body) if compiled else body for body in bodies]

        def step() -> None:
            torch.set_num_threads(threads)
            self._step(*bodies)

        step(), step()
        return step

    def _logits(self, network: nn.ModuleDict, tokens: Tensor) -> Tensor:
        """Compare in fp32, as ours and as the authors' code does."""
        with autocast_for(self.device, self.precision):
            points = network["points"](tokens)
        return network["prototypes"](points.float())

    def _step(self, student: nn.Module, teacher: nn.Module) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        n, place = self.card["batch"], self.masks.place
        with torch.no_grad():
            with autocast_for(self.device, self.precision):
                whole, tokens = teacher(self.views[0])
            hidden = tokens.flatten(0, 1).index_select(0, place)
            target = torch.softmax(self._logits(self.teacher, torch.cat([whole, hidden])), 1)
        with autocast_for(self.device, self.precision):
            whole, tokens = student(self.views[0], self.masks.hidden)
            local, _ = student(self.views[1])
        hidden = tokens.flatten(0, 1).index_select(0, place)
        told = self._logits(self.student, torch.cat([whole, local]))
        guessed = self._logits(self.student, hidden)
        loss = cross_entropy(told, target[:n].repeat(len(told) // n, 1))
        (loss + cross_entropy(guessed, target[2 * n :])).backward()
        self.optimizer.step()


def sweep(bare: Bare, threads: int, compiled: bool) -> Callable[[], None]:
    """Print the time of every setting; return the fastest one's step."""
    counts = [threads] if bare.device.type == "cuda" else sorted({1, threads})
    times = {}
    for setting in itertools.product([True, False], counts, [False]):
        times[setting] = timed(bare.prepare(*setting), 2, bare.device)
    if compiled:
        setting = (*min(times, key=times.__getitem__)[:2], True)
        times[setting] = timed(bare.prepare(*setting), 3, bare.device)
    for (fused, count, is_compiled), found in times.items():
        kind = "fused" if fused else "written out"
        how = "compiled" if is_compiled else "eager"
        print(f"  attention {kind:11}  threads {count}  {how:8}  {found:8.3f} s a step")
    return bare.prepare(*min(times, key=times.__getitem__))


def timed(step: Callable[[], object], steps: int, device: torch.device) -> float:
    return waited(lambda: [step() for _ in range(steps)], device) / steps


class Views(torch.utils.data.Dataset):
    """The data path of the released code: PIL and torchvision, one crop at a time."""

    def __init__(self, images: TrainingImages, crops: Card) -> None:
        self.pixels, flips = images.loader.pixels.cpu(), crops["flip_probability"]  # type: ignore[union-attr]

        def path(kind: str, blurred: float, solarized: float) -> transforms.Compose:
            side, scale = crops[kind]["side"], crops[kind]["scale"]
            blur = transforms.GaussianBlur(9, crops["blur_sigma"])
            jitter = transforms.ColorJitter(*crops["jitter"])
            return transforms.Compose(
                [
                    transforms.RandomResizedCrop(side, scale, interpolation=Image.BICUBIC),
                    transforms.RandomHorizontalFlip(flips),
                    transforms.RandomVerticalFlip(flips),
                    transforms.RandomApply([jitter], crops["jitter_probability"]),
                    transforms.RandomGrayscale(crops["grey_probability"]),
                    transforms.RandomApply([blur], blurred),
                    transforms.RandomSolarize(128, solarized),
                    transforms.ToTensor(),
                ]
            )

        first, second = path("global", 0.0, 0.0), path("global", 0.9, crops["solarize_probability"])
        self.paths = [first, second] + [path("local", 0.5, 0.0)] * crops["local_count"]

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, at: int) -> list[Tensor]:
        image = Image.fromarray(self.pixels[at].numpy())
        return [path(image) for path in self.paths]


class Obvious:
    """Workers that crop, a step in fp32 that waits for them."""

    def __init__(
        self, card: Card, base: Card, images: TrainingImages, device: torch.device
    ) -> None:
        self.card = card | {"precision": "fp32"}
        self.learner, self.device = learner_of(self.card, base, device), device
        self.views = Views(images, card["crops"])

    def seconds(self, steps: int) -> float:
        """Return seconds a step, the start of the workers left out."""
        size = self.card["batch"]
        drawn = torch.utils.data.RandomSampler(
            self.views, replacement=True, num_samples=(steps + 1) * size
        )
        loader = torch.utils.data.DataLoader(
            self.views, batch_size=size, sampler=drawn, num_workers=WORKERS
        )
        batches = iter(loader)
        self._learn(batches, 1)
        took = waited(lambda: self._learn(batches, steps), self.device, time.perf_counter)
        return took / steps  # its workers' seconds count

    def _learn(self, batches: Iterator, count: int) -> None:
        learner, rng = self.learner, np.random.default_rng(0)
        for crops in itertools.islice(batches, count):
            views = torch.cat(crops[:2]), torch.cat(crops[2:])
            placed = tuple(view.to(self.device) for view in views)
            masks = draw_masks(len(placed[0]), learner.grid, self.card["masks"], rng)
            losses = learner.losses(placed, Masks.of(masks).to(self.device), 0.04)  # type: ignore[arg-type]
            learner.optimizer.zero_grad()
            losses.sum().backward()
            learner.optimizer.step()
            learner.update_teacher(0.99)
            losses.sum().item()


def begun(card: Card, base: Card, stored: int, device: torch.device) -> FinetuningState:
    """Return a finetuning on invented images of a side, px, that has taken three steps."""
    images = invented(max(4 * card["batch"], 256), stored, device)
    state = FinetuningState(learner_of(card, base, device), images, card, Path())
    state.learn(3, lambda: None)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    return state


def learning(state: FinetuningState, steps: int) -> float:
    """Return the seconds a step of a finetuning, over three times so many."""
    return timed(lambda: state.learn(steps, lambda: None), 3, state.device) / steps


def projected(size: str, seconds: float) -> list[tuple[int, float, str]]:
    """Return iterations of Roth et al. 2024, the hours that they would take, and those printed."""
    return [(count, count * seconds / 3600, printed) for count, printed in PAPER[size]]


def measure(size: str, given: Any) -> None:
    """Measure one size and print its lines."""
    device = pick_device("auto")
    use_threads(given.threads)
    card, base, stored = cards_of(size, given.precision)
    crops = card["crops"]
    print(
        f"{size}: {card['base']}, {crops['global']['side']} and {crops['local']['side']} px, batch "
        f"{card['batch']}, {card['head']['prototypes']:,} prototypes, {given.precision}; "
        f"{describe(device)}"
    )
    state = begun(card, base, stored, device)
    if size in PAPER:
        seconds = learning(state, given.steps)
        print(f"  ours    {seconds:.3f} s a step, {peak_memory(device):.1f} GB")
        for count, hours, printed in projected(size, seconds):
            print(f"  {count:,} iterations: {hours:.2f} GPU-hours; Roth et al. 2024: {printed}")
        if not given.limit:
            return
    bare = sweep(Bare(card, base, device), given.threads, not given.no_compile)
    first = Obvious(card, base, state.images, device)
    learn = lambda: state.learn(given.steps, lambda: None)  # noqa: E731
    limits, ours, plain, walls = [], [], [], []
    for _ in range(REPEATS):
        limits.append(timed(bare, given.steps, device))
        torch.set_num_threads(given.threads)
        start = time.perf_counter()
        ours.append(waited(learn, device) / given.steps)
        walls.append((time.perf_counter() - start) / given.steps)
        plain.append(first.seconds(max(1, given.steps // 2)))
    parts(state, device)
    limit, mine, slow = map(statistics.median, (limits, ours, plain))
    faster = slow / statistics.median(walls)
    ratios = [a / b for a, b in zip(limits, ours, strict=True)]
    spread = ", ".join(f"{ratio:.3f}" for ratio in ratios)
    print(f"  limit   {limit:.3f} s a step")
    print(
        f"  ours    {mine:.3f} s = {statistics.median(ratios):.3f} of the limit ({spread}); {BAR}"
    )
    print(f"  obvious {slow:.3f} s; ours is {faster:.1f} times as fast", flush=True)


def parts(state: FinetuningState, device: torch.device) -> None:
    """Print what the data path of a step costs."""
    crops, _ = state.draw(0)
    batch = state.images.loader.take(state.sampler.batch(0, state.card["batch"]))
    cut = lambda: make_crops(batch, crops, state.card["crops"])  # noqa: E731
    cut()
    drawing = timed(lambda: state.draw(1), 3, device)
    print(f"  of ours: crops {timed(cut, 3, device):.3f} s, drawing {drawing:.3f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="+", default=["moderate"], choices=list(SIZES))
    parser.add_argument("--precision", default="bf16", choices=["bf16", "fp32"])
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--no-compile", action="store_true", help="leave the compiled limit out")
    parser.add_argument("--processor", action="store_true", help="where others compute beside it")
    parser.add_argument("--limit", action="store_true", help="of the paper's sizes, too")
    given = parser.parse_args()
    CLOCK[0] = time.process_time if given.processor else time.perf_counter
    for size in given.sizes:
        measure(size, given)
