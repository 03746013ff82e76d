"""Everything that a first GPU must show, part after part, as `benchmarks/gpu.sh` runs it.

Written are `gpu.json` and `gpu.md`, a table for docs/reference/performance.md. Weights and images
are random: they change no speed. A rehearsal runs on a processor, with one block of each network
and a few patches: every part, and no number that says anything.

    benchmarks/gpu.sh                 # at most 8 minutes on one GPU with 16 cores, no network
    benchmarks/gpu.sh --rehearse
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from dataclasses import asdict
from functools import partial
from pathlib import Path

import dino
import embed
import numpy as np
import torch
import train
from batch import farthest
from timed_parts import DONE, Part, Row, run_all, table
from tqdm import tqdm

from cryotome.core.cards import Card, load_card
from cryotome.encoders.embedders import ComputeSettings, ModelView
from cryotome.encoders.inference import PRECISIONS, ROUNDING, InferenceRunner
from cryotome.encoders.profile import profile_encoder
from cryotome.learners.endtoend.state import TrainingState
from cryotome.learners.loop.batches import BatchLoader
from cryotome.runtime import usage
from cryotome.runtime.devices import describe, peak_memory, pick_device, repeat_exactly, use_threads

ROOT = embed.ROOT
CONFIG = ROOT / "config"
MOST = 480  # seconds of the whole script
IMPORTS = 25  # seconds of it until the first part starts
GPU_TESTS = ["tests/runtime/test_devices.py", "tests/learners/loop"]
ONE_BLOCK = {"depth": 1}  # of a rehearsed transformer
TOY = {"repeats": 1, "side": 128}  # of a rehearsal: its repeats, and the side of its matrices
FEW = 2  # patches of a rehearsal
SMALL = "resnet10t_random"  # in place of a ResNet50
REPEATS = 5
HEAD = "`benchmarks/gpu.sh`, one GPU; weights and images are random. Medians of five repeats."
REHEARSAL = "**A rehearsal at toy size on a processor: no number of it says anything.**"


def threads_of(rehearse: bool) -> int:
    """Return the processor threads of a part: all, or one where others compute beside it."""
    return 1 if rehearse else len(os.sched_getaffinity(0))


def median_and_all(values: list[float]) -> str:
    """Return the median of some shares, and each of them.

    >>> median_and_all([0.9, 1.0, 0.8])
    '0.900 (0.900, 1.000, 0.800)'
    """
    return f"{statistics.median(values):.3f} ({', '.join(f'{value:.3f}' for value in values)})"


def machine(rehearse: bool) -> list[Row]:
    """Say on what all of this runs, and that it is a GPU."""
    if not (rehearse or torch.cuda.is_available()):
        raise RuntimeError("no GPU here; `--rehearse` runs all parts at toy size on a processor")
    said = {
        "device": describe(pick_device("auto")),
        "processor": usage.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "python": sys.version.split()[0],
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
    }
    return [Row("machine", ", ".join(f"{name} {value}" for name, value in said.items()), said)]


def gpu_tests(rehearse: bool) -> list[Row]:
    """Run the tests that need a GPU; without one they must be found, and skipped."""
    import pytest  # the other parts need none

    os.chdir(ROOT)
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "tests.xml"
        # this process has imported what pytest would rewrite
        asked = [
            "-W",
            "ignore::pytest.PytestAssertRewriteWarning",
            "-m",
            "gpu",
            "-p",
            "no:cacheprovider",
            f"--junitxml={report}",
            *GPU_TESTS,
        ]
        code = pytest.main(asked)
        suite = next(ET.parse(report).iter("testsuite")).attrib
    count = {name: int(suite[name]) for name in ("tests", "failures", "errors", "skipped")}
    said = ", ".join(f"{name} {number}" for name, number in count.items())
    if code or not count["tests"] or count["skipped"] != count["tests"] * rehearse:
        raise RuntimeError(f"pytest ends with {code}: {said}")
    return [Row("tests that need a GPU", said, count)]


def random_card(name: str, rehearse: bool) -> Card:
    """Return a model's card with random weights; rehearsed: one block of it."""
    card = load_card(CONFIG, "models", name) | {"weights": {"random": 0}}
    card["arguments"] = card["arguments"] | (ONE_BLOCK if rehearse else {})
    return card


def runner_of(
    name: str, view: str, folder: Path, rehearse: bool, side: int = embed.SEEN
) -> InferenceRunner:
    model = ModelView(name, random_card(name, rehearse), view)
    compute = ComputeSettings(folder, "auto", threads_of(rehearse), folder / "batches")
    return InferenceRunner(model, model.geometry(side), compute)


def embedding(rehearse: bool, *, model: str, patches: int) -> list[Row]:
    """Measure `embed` from HDF5 to HDF5 beside the bare forward and the matrix rate, in bf16."""
    view, count = ("paper-fp32", FEW) if rehearse else ("paper-bf16", patches)
    fewer, threads = TOY if rehearse else {}, threads_of(rehearse)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        store = folder / "patches.h5"
        embed.invented_patches(store, count)
        runner = runner_of(model, view, folder, rehearse)
        bare = embed.Bare(runner.encoder, runner.on, PRECISIONS.get(runner.model.precision))
        fast = {}
        for batch in {min(size, runner.batch, count) for size in (64, 256, runner.batch)}:
            network = bare.prepare(batch, "channels_last", threads, compiled=False)
            fast[batch] = bare.rate(network, count // 4)
        best = max(fast, key=fast.__getitem__)
        network = bare.prepare(best, "channels_last", threads, compiled=False)
        rates = embed.interleaved(bare, network, runner, store, (threads, threads), **fewer)
    limit, speed, peak = *map(statistics.median, (rates.limits, rates.embeds)), max(rates.peaks)
    shares = [ours / bound for ours, bound in zip(rates.embeds, rates.limits, strict=True)]
    gflops = profile_encoder(runner.model.card)["gflops"]
    memory, hours = peak_memory(runner.on), embed.STUDY / speed / 3600
    said = (
        f"{speed:,.0f} patches/s, {median_and_all(shares)} of the bare forward ({limit:,.0f}, "
        f"batch {best}), which is {limit * gflops / peak:.2f} of the matrix rate "
        f"({peak / 1e3:,.0f} TFLOP/s); batch {runner.batch}, {memory:.1f} GB; {hours:.2f} h for "
        f"the {embed.STUDY:,} patches of Ganz et al. 2024"
    )
    figures = {"limits": rates.limits, "embeds": rates.embeds, "matrix_gflops": rates.peaks}
    figures |= {"gflops": gflops, "batch": runner.batch, "bare_batch": best, "memory_gb": memory}
    return [Row(f"`embed`, `{model}`, {view}, {count} patches", said, figures)]


def batches(rehearse: bool, *, model: str, views: list[str]) -> list[Row]:
    """Compare embeddings of batches of 1 and 16 with those of the batch that fits."""
    rows, side = [], 64 if rehearse else embed.SEEN
    for view in views:
        with tempfile.TemporaryDirectory() as place:
            runner = runner_of(model, view, Path(place), rehearse, side)
        best = FEW if rehearse else runner.batch
        rng = np.random.default_rng(0)
        patches = rng.integers(0, 255, (best, side, side, 3), dtype=np.uint8)
        due, far = torch.from_numpy(runner.embed(patches)), {}
        for size in (1, 16):
            runner.batch = size
            far[size] = farthest(torch.from_numpy(runner.embed(patches)), due)
        allowed = ROUNDING[PRECISIONS.get(runner.model.precision)]
        if max(far.values()) > allowed:
            raise RuntimeError(f"{model}, {view}: {far} of batch {best}, rounding {allowed}")
        said = ", ".join(
            f"batch {size}: {value:.1e}" if value else f"batch {size}: the same bits"
            for size, value in far.items()
        )
        what = f"largest relative distance from batch {best}, `{model}`, {view}"
        rows.append(Row(what, f"{said} ({allowed:g} allowed)", {"best": best, "far": far}))
    return rows


def training(rehearse: bool, *, model: str, head: str, steps: int) -> list[Row]:
    """Measure the steps of a head beside the bare step, captured as a graph where a GPU can."""
    device, steps = pick_device("auto"), 1 if rehearse else steps
    use_threads(threads_of(rehearse))
    card = load_card(CONFIG, "heads", head) | ({"batch": 2} if rehearse else {})
    small = {"arguments": ONE_BLOCK} if rehearse and "lora" in card else {}
    model = SMALL if rehearse and not small else model
    stored, seen = (78, 64) if rehearse else (embed.STORED, embed.SEEN)
    data = train.invented(stored, seen)
    loader, size = BatchLoader(data.pixels, device), card["batch"]
    networks = [train.classifier(model, seen, device, head=card, **small) for _ in range(2)]
    train.free_choice(device)
    launch = "captured" if device.type == "cuda" else "eager"
    bare = train.Bare(networks[0], seen, card, device)
    step = bare.prepare(size, "channels_last", threads_of(rehearse), launch)
    repeat_exactly(device)
    state = TrainingState(networks[1], data, card, seed=0, loader=loader, checkpoint=None)
    bar = tqdm(disable=True)
    state.learn(steps if rehearse else 5, bar)
    limits, ours = [], []
    for _ in range(1 if rehearse else REPEATS):
        train.free_choice(device)
        limits.append(train.rate(step, size, steps, device))
        repeat_exactly(device)
        taken = train.waited(lambda: state.learn(steps, bar)[0].cpu(), device)
        ours.append(size * steps / taken)
    shares = [mine / bound for mine, bound in zip(ours, limits, strict=True)]
    speed, limit = map(statistics.median, (ours, limits))
    memory, hours = peak_memory(device), card["steps"] * size / speed / 3600
    said = (
        f"{speed:,.0f} patches/s, {median_and_all(shares)} of the bare step ({limit:,.0f}); "
        f"{memory:.1f} GB; {hours:.2f} h for its {card['steps']:,} steps"
    )
    figures = {"limits": limits, "ours": ours, "memory_gb": memory, "hours": hours}
    return [Row(f"`{model} + {head}`, batch {size}, {seen} px, {card['precision']}", said, figures)]


def finetuning(rehearse: bool, *, size: str, steps: int) -> list[Row]:
    """Measure steps of DINOv2 at a paper's batch, and project its hours."""
    device, steps = pick_device("auto"), 1 if rehearse else steps
    use_threads(threads_of(rehearse))
    card, base, stored = dino.cards_of(size, "bf16")
    if rehearse:
        crops = {"global": card["crops"]["global"] | {"side": 56}, "local_count": 2}
        crops |= {"local": card["crops"]["local"] | {"side": 28}}
        head = {"hidden": 32, "bottleneck": 16, "prototypes": 64}
        card |= {"batch": 2, "crops": card["crops"] | crops, "head": card["head"] | head}
        base["arguments"] = base["arguments"] | ONE_BLOCK
    state = dino.begun(card, base, stored, device)
    seconds = dino.learning(state, steps)
    memory, hours = peak_memory(device), dino.projected(size, seconds)
    said = "; ".join(
        f"{count:,} iterations {took:.2f} h, Roth et al. 2024: {printed}"
        for count, took, printed in hours
    )
    what = f"finetuning step, `{card['base']}`, batch {card['batch']}, bf16"
    figures = {"seconds": seconds, "memory_gb": memory, "hours": hours}
    return [Row(what, f"{seconds:.3f} s, {memory:.1f} GB; {said}", figures)]


def energy(rehearse: bool) -> list[Row]:
    """Compare the energy counter that the ledger reads with the power that the driver reports."""
    device, power = pick_device("auto"), []
    side, seconds = (128, 0.2) if rehearse else (8192, 8.0)
    matrix = torch.randn(side, side, device=device, dtype=torch.bfloat16)
    uuid = usage.gpu_usage().get("uuid", "")
    before, start = usage.energy_counters(), time.perf_counter()
    while (now := time.perf_counter() - start) < seconds:
        embed.seconds(lambda: matrix @ matrix, device)
        power.append((now, watts(uuid)))
    counted = usage.energy_counters().get(uuid, 0) - before.get(uuid, 0)
    if rehearse:
        return [Row("energy counter", f"none on a processor; {len(power)} samples of power")]
    joules, (at, drawn) = counted / 1e3, np.array(power).T
    expected = float(np.trapezoid(drawn, at))
    if not joules:
        raise RuntimeError(f"the driver has no energy counter for {uuid}; power {drawn.mean()} W")
    said = f"{joules:,.0f} J counted in {at[-1]:.1f} s, {joules / expected:.2f} of power times time"
    figures = {"counted_j": joules, "expected_j": expected, "mean_watts": float(drawn.mean())}
    return [Row("energy counter beside the reported power", said, figures)]


def watts(uuid: str) -> float:
    """Return the power that a GPU draws, W; 0 without one."""
    if not uuid:
        return 0.0
    import pynvml

    pynvml.nvmlInit()
    return pynvml.nvmlDeviceGetPowerUsage(pynvml.nvmlDeviceGetHandleByUUID(uuid)) / 1e3


def _part(name: str, seconds: int, work: object, **arguments: object) -> Part:
    return Part(name, seconds, partial(work, **arguments))  # type: ignore[arg-type]


PARTS = [
    _part("machine", 10, machine),
    _part("GPU tests", 45, gpu_tests),
    _part("embed ViT-S", 35, embedding, model="kaiko_vits16", patches=8192),
    _part("embed ViT-L", 35, embedding, model="uni", patches=4096),
    _part("embed ViT-H", 40, embedding, model="virchow2", patches=2048),
    _part("embed ViT-g", 55, embedding, model="h_optimus_0", patches=1024),
    _part("end to end", 35, training, model="resnet50_imagenet", head="endtoend", steps=50),
    _part("LoRA", 35, training, model="uni", head="lora", steps=30),
    _part("DINOv2 ViT-S", 40, finetuning, size="s_256", steps=4),
    _part("DINOv2 ViT-g", 60, finetuning, size="g_32", steps=3),
    _part("batch sizes ViT-S", 20, batches, model="kaiko_vits16",
          views=["paper-fp32", "paper-fp16", "paper-bf16"]),
    _part("batch sizes ViT-L", 20, batches, model="uni", views=["paper-bf16"]),
    _part("energy", 20, energy),
]  # fmt: skip

assert IMPORTS + sum(part.seconds for part in PARTS) <= MOST


def main() -> None:
    """Run every part, write JSON and table, and fail where a part did."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="default: results/gpu; of a rehearsal: temporary")
    parser.add_argument("--rehearse", action="store_true", help="toy sizes, on a processor")
    given = parser.parse_args()
    if given.rehearse:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    folder = given.out or (Path(tempfile.mkdtemp()) if given.rehearse else ROOT / "results" / "gpu")
    folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic() - usage.process_age()
    outcomes = run_all(PARTS, folder, rehearse=given.rehearse, began=began + IMPORTS)
    seconds = round(time.monotonic() - began, 1)
    said = {"rehearsal": given.rehearse, "seconds": seconds, "parts": list(map(asdict, outcomes))}
    (folder / "gpu.json").write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")
    written = table(outcomes, REHEARSAL if given.rehearse else HEAD)
    (folder / "gpu.md").write_text(written, encoding="utf-8")
    print(f"\n{written}\n{folder / 'gpu.json'} and gpu.md, after {seconds:.0f} s")
    if odd := [outcome.part for outcome in outcomes if outcome.state != DONE]:
        sys.exit(f"{len(odd)} of {len(outcomes)} parts failed: {', '.join(odd)}")


if __name__ == "__main__":
    main()
