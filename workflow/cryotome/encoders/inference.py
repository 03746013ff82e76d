"""Inference: an encoder run over many patches as fast as its device allows.

One thread reads ahead, the device computes, one thread writes, all at the same time.
"""

import hashlib
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor

from cryotome.core.cards import without_notes
from cryotome.core.errors import CryotomeError, EncoderError
from cryotome.core.files import atomic_write
from cryotome.core.prefetch import prefetch
from cryotome.core.store import Keep, Rows
from cryotome.encoders.embedders import ComputeSettings, ModelView
from cryotome.encoders.encoder import build_encoder
from cryotome.encoders.patch_reader import PatchReader
from cryotome.encoders.transforms import transform_patches
from cryotome.runtime.devices import pick_device, use_threads
from cryotome.study.geometry import Geometry

PRECISIONS = {"bf16": torch.bfloat16, "fp16": torch.float16}
MAX_BATCH = 512  # patches; a GPU is saturated by fewer
CACHED_PIXELS = 8 * 224**2  # pixels of a batch on a CPU; more do not stay in its caches
COMPILE_FROM_SECONDS = 300.0  # seconds of work from which on compiling is tried
MIN_SPEEDUP = 1.03  # compiled to eager; a smaller gain is not worth it
MIN_COSINE = 0.9999  # of compiled and eager embeddings
# Largest relative distance of a patch embedded alone and in its batch: rounding. Kernels for other
# sizes add in another order; measured 2e-6 in fp32 and 2e-4 in fp16, 0.2 to 1 where a batch is
# normalised by its own statistics (docs/decisions/015-batch-and-bits.md).
ROUNDING = {None: 1e-3, torch.float16: 0.02, torch.bfloat16: 0.1}
FEW = 4  # patches that are compared once more in fp32, where a lower precision is asked for


def _log(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class InferenceRunner:
    """An encoder on its device: uint8 patches in, embeddings out.

    Margins of patches beyond the side of the geometry are cut off. `encoder` is the network
    before it is compiled.
    """

    def __init__(self, model: ModelView, geometry: Geometry, compute: ComputeSettings) -> None:
        use_threads(compute.threads)
        self.model, self._geometry, self.on = model, geometry, pick_device(compute.device)
        self.device = self.on.type
        self._dtype = PRECISIONS.get(model.precision)
        encoder, self.weights_sha256 = build_encoder(
            model.card, model.name, compute.weights_dir, geometry
        )
        encoder.requires_grad_(False)
        self.encoder = encoder.to(self.on).to(memory_format=torch.channels_last)
        self._network: torch.nn.Module = self.encoder
        self._compiled_for = 0  # patches of a batch; others run without compiling
        self._compared = False  # a patch alone with the same patch in a batch
        self.batch = processor_batch(geometry.seen)
        self.step = self.batch if self.on.type == "cpu" else 1
        if self.on.type == "cuda":
            torch.backends.cudnn.allow_tf32 = False  # fp32 means fp32
            torch.backends.cuda.matmul.allow_tf32 = False
            self._find_batch(compute.batches / self._batch_key())

    def _batch_key(self) -> str:
        model, gpu = self.model, torch.cuda.get_device_name(self.on)
        key = f"{without_notes(model.card)} {model.view} {self._geometry.side} {gpu}"
        return hashlib.sha256(key.encode()).hexdigest()[:16]

    def _find_batch(self, cache: Path) -> None:
        """Try the largest batch, halved until it fits, unless the cache has the size that does."""
        if cache.exists():
            self.batch = int(cache.read_text(encoding="utf-8"))
            return
        self.batch = MAX_BATCH
        while not self._fits(self.batch) and self.batch > 1:
            self.batch //= 2
        with atomic_write(cache) as beside:
            beside.write_text(str(self.batch), encoding="utf-8")

    def _fits(self, count: int) -> bool:
        side = self._geometry.side
        try:
            self._forward(torch.zeros(count, side, side, 3, dtype=torch.uint8))
        except torch.OutOfMemoryError:
            return False
        finally:
            self._free()
        return True

    def _free(self) -> None:
        if self.on.type == "cuda":
            torch.cuda.empty_cache()

    def _forward(self, patches: Tensor) -> Tensor:
        """Map (n, side or more, ..., 3) uint8 on any device to (n, dim) float32 on the runner's."""
        edge = (patches.shape[1] - self._geometry.side) // 2
        inner = slice(edge, edge + self._geometry.side)
        on = patches.to(self.on, non_blocking=True)[:, inner, inner]
        x = transform_patches(on.permute(0, 3, 1, 2), self._geometry)
        network = self._network if len(x) == self._compiled_for else self.encoder
        lower = torch.autocast(self.on.type, self._dtype, enabled=self._dtype is not None)
        with torch.inference_mode(), lower:
            return network(x).float()

    def enqueue(self, patches: Tensor) -> Tensor:
        """Start to embed patches, without waiting for a GPU; halve batches that do not fit.

        Raises
        ------
        torch.OutOfMemoryError
            Not even one patch fits.
        EncoderError
            The network embeds a patch otherwise alone than among others.
        """
        done: list[Tensor] = []
        start = 0
        while start < len(patches):
            part = patches[start : start + self.batch]
            try:
                done.append(self._forward(part))
            except torch.OutOfMemoryError:
                if len(part) == 1:
                    raise
            else:
                start += len(part)
                continue
            self._free()
            while self.batch >= len(part):
                self.batch //= 2
            _log(
                f"{len(part)} patches at once do not fit the memory; continuing with {self.batch}."
            )
        embedding, few = torch.cat(done), patches[: max(2, min(FEW, len(patches) // 2))]
        if not self._compared and (few[1:] != few[:1]).any():  # of equal ones none would differ
            self._compared = True
            self._compare_alone(few, embedding)
            if self._dtype:  # whose rounding would hide a small fault
                with self._in_full_precision():
                    self._compare_alone(few, self._forward(few))
        return embedding

    @contextmanager
    def _in_full_precision(self) -> Iterator[None]:
        lower, self._dtype = self._dtype, None
        try:
            yield
        finally:
            self._dtype = lower

    def _compare_alone(self, few: Tensor, together: Tensor) -> None:
        allowed = ROUNDING[self._dtype]
        _require_same_alone(self._forward, few, together, allowed, self.model.name)

    def compile_if_it_pays(self, patches: Tensor, count: int) -> None:
        """Compile the network if `count` patches take long; keep it if it is faster and agrees."""
        self.enqueue(patches[: self.batch])  # raises or halves the batch where it does not fit
        patches = patches[: self.batch]
        eager, expected = self._timed(patches)
        if eager * count / len(patches) < COMPILE_FROM_SECONDS:
            return
        try:
            self._network = cast(torch.nn.Module, torch.compile(self.encoder))
            self._compiled_for = len(patches)
            compiled, found = self._timed(patches)
        except RuntimeError as error:  # out of memory, or an error of torch's compilers
            _log(f"torch.compile does not work here ({type(error).__name__}); continuing without.")
            compiled, found = float("inf"), expected
        agree = torch.cosine_similarity(found, expected).min().item() > MIN_COSINE
        _log(f"a batch takes {eager:.3f} s, compiled {compiled:.3f} s; they agree: {agree}")
        if eager < MIN_SPEEDUP * compiled or not agree:
            self._network, self._compiled_for = self.encoder, 0

    def _timed(self, patches: Tensor) -> tuple[float, Tensor]:
        taken = []
        for _ in range(4):  # the first one warms up
            start = time.perf_counter()
            embedding = self._forward(patches).cpu()
            taken.append(time.perf_counter() - start)
        return min(taken[1:]), embedding

    def embed(self, patches: np.ndarray) -> np.ndarray:
        """Map (n, side or more, ..., 3) uint8 to (n, dim) float32."""
        parts = torch.from_numpy(patches).split(self.batch)
        return torch.cat([self.enqueue(part).cpu() for part in parts]).numpy()

    def run(self, patch_store: Path, blocks: Iterable[Rows], keep: Keep, *, count: int) -> None:
        """Embed ranges of rows, `count` in all; hand embeddings in order to `keep`, in a thread."""
        read = PatchReader(patch_store, pinned=self.on.type == "cuda")
        try:
            self._run(blocks, read, keep, count)
        finally:
            read.close()

    def _run(self, blocks: Iterable[Rows], read: PatchReader, keep: Keep, count: int) -> None:
        waiting: deque[tuple[int, Tensor, torch.cuda.Event | None]] = deque()
        with ExitStack() as stack:
            writing = stack.enter_context(ThreadPoolExecutor(1))
            written: deque[Future[None]] = deque()
            tried = False

            def finish(pending: int) -> None:
                while len(waiting) > pending:
                    first, host, copied = waiting.popleft()
                    if copied:
                        copied.synchronize()
                    written.append(writing.submit(keep, first, host.numpy()))
                while len(written) > pending:
                    written.popleft().result()

            upcoming = stack.enter_context(closing(prefetch(read, blocks)))
            for first, patches in upcoming:
                full = self.on.type == "cuda" and len(patches) >= self.batch
                if full and not tried:  # compiling gains nothing on a CPU
                    self.compile_if_it_pays(patches, count)
                tried, start = tried or full, 0
                while start < len(patches):
                    part = patches[start : start + self.batch]
                    waiting.append((first + start, *self._to_host(self.enqueue(part))))
                    start += len(part)
                    finish(pending=1)
            finish(pending=0)

    def _to_host(self, embedding: Tensor) -> tuple[Tensor, torch.cuda.Event | None]:
        if self.on.type != "cuda":
            return embedding, None
        host = torch.empty(embedding.shape, dtype=embedding.dtype, pin_memory=True)
        host.copy_(embedding, non_blocking=True)
        copied = torch.cuda.Event()
        copied.record()
        return host, copied


def _require_same_alone(
    forward: Callable[[Tensor], Tensor], few: Tensor, together: Tensor, allowed: float, name: str
) -> None:
    """Embed the first and the last of a few patches alone, and compare with the same in a batch.

    `together` (n, dim) are embeddings of a batch that begins with these patches.
    """
    for row in (0, len(few) - 1):
        try:
            alone = forward(few[row : row + 1])[0]
        except torch.OutOfMemoryError:
            raise
        except (CryotomeError, RuntimeError, ValueError, LookupError) as error:
            raise EncoderError(
                f"{name} embeds {len(together)} patches at once and fails on one alone "
                f"({type(error).__name__}: {error}). It must map (n, 3, side, side) to n "
                "embeddings for every n: correct its code."
            ) from error
        distance = ((alone - together[row]).norm() / together[row].norm()).item()
        if distance > allowed:
            raise EncoderError(
                f"{name} embeds a patch otherwise alone than among {len(together)}: relative "
                f"distance {distance:.2g}, where rounding explains {allowed:g}. Its embeddings "
                "would change with the batch that fits a machine. Look for batch normalisation "
                "that trains, for means over the batch and for attention between patches, and "
                "correct its code or `arguments`; untrained weights may amplify rounding."
            )


def processor_batch(side: int) -> int:
    """Return the batch size of a CPU for images of a side, px: a power of two.

    It depends on the side alone, so that the same patches give the same bits.

    >>> processor_batch(224), processor_batch(64), processor_batch(1024)
    (8, 64, 1)
    """
    return 1 << (max(1, min(MAX_BATCH, CACHED_PIXELS // side**2)).bit_length() - 1)
