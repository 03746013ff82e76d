"""Run an encoder over many patches as fast as its device allows.

One thread reads large blocks ahead, the device computes, one thread writes; none waits for
another longer than its own work takes.
"""

import hashlib
import sys
import time
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor

from cryotome.core.cards import Card, without_notes
from cryotome.core.files import atomic_write
from cryotome.core.prefetch import prefetch
from cryotome.core.store import Keep, Rows
from cryotome.encoders.encoder import build_encoder
from cryotome.encoders.patch_reader import PatchReader
from cryotome.encoders.transforms import transform_patches
from cryotome.runtime.devices import pick_device, use_threads
from cryotome.study.geometry import geometry_of, side_after

PRECISIONS = {"bf16": torch.bfloat16, "fp16": torch.float16}
MAX_BATCH = 512  # patches at once; a GPU is saturated before
CACHED_PIXELS = 8 * 224**2  # pixels at once on a processor: more do not stay in its caches
COMPILE_FROM_SECONDS = 300.0  # seconds of work from which on compiling is tried
MIN_SPEEDUP = 1.03  # and kept, where it is so much faster
MIN_COSINE = 0.9999  # and each embedding has at least this cosine with the one not compiled


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class InferenceRunner:
    """An encoder on its device: uint8 patches in, embeddings out, computed behind the scenes.

    Parameters
    ----------
    side
        Side of the patches that the encoder is given, px; a wider margin is cut off.
    device
        `auto`, `cpu` or `job`, as `device` of the config.
    batches
        Folder that remembers which batch fits, by card, view, side and GPU.
    """

    def __init__(
        self,
        card: Card,
        name: str,
        *,
        view: str,
        side: int,
        weights_dir: Path,
        device: str,
        threads: int,
        batches: Path,
    ) -> None:
        use_threads(threads)
        self.on, self._side = pick_device(device), side
        self.device = self.on.type
        self._dtype = PRECISIONS.get(view.split("-")[1])
        self._geometry = geometry_of(card, view)
        encoder, self.weights_sha256 = build_encoder(card, name, weights_dir, view=view, side=side)
        encoder.requires_grad_(False)
        self._eager = encoder.to(self.on).to(memory_format=torch.channels_last)
        self._network: torch.nn.Module = self._eager
        self._compiled_for = 0
        self.batch = processor_batch(side_after(self._geometry, side))
        self.step = self.batch if self.on.type == "cpu" else 1
        if self.on.type == "cuda":
            torch.backends.cudnn.allow_tf32 = False  # fp32 means fp32
            torch.backends.cuda.matmul.allow_tf32 = False
            what = f"{without_notes(card)} {view} {side} {torch.cuda.get_device_name(self.on)}"
            self._find_batch(batches / hashlib.sha256(what.encode()).hexdigest()[:16])

    def _find_batch(self, place: Path) -> None:
        """Try the largest batch, halved until it fits, unless a file remembers which one does."""
        if place.exists():
            self.batch = int(place.read_text(encoding="utf-8"))
            return
        self.batch = MAX_BATCH
        while not self._fits(self.batch) and self.batch > 1:
            self.batch //= 2
        with atomic_write(place) as beside:
            beside.write_text(str(self.batch), encoding="utf-8")

    def _fits(self, count: int) -> bool:
        try:
            self._forward(torch.zeros(count, self._side, self._side, 3, dtype=torch.uint8))
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
        edge = (patches.shape[1] - self._side) // 2
        inner = slice(edge, edge + self._side)
        on = patches.to(self.on, non_blocking=True)[:, inner, inner]
        x = transform_patches(on.permute(0, 3, 1, 2), self._geometry)
        network = self._network if len(x) == self._compiled_for else self._eager
        lower = torch.autocast(self.on.type, self._dtype, enabled=self._dtype is not None)
        with torch.inference_mode(), lower:
            return network(x).float()

    def launch(self, patches: Tensor) -> Tensor:
        """Begin to embed patches, in batches that are halved where they do not fit.

        Raises
        ------
        torch.OutOfMemoryError
            Not even one patch fits.
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
            _say(f"{len(part)} patches at once do not fit the memory; going on with {self.batch}.")
        return torch.cat(done)

    def compile_if_it_pays(self, patches: Tensor, count: int) -> None:
        """Compile the network if `count` patches take long; keep it if it is faster and agrees."""
        self.launch(patches[: self.batch])  # finds out whether they fit
        patches = patches[: self.batch]
        eager, there = self._timed(patches)
        if eager * count / len(patches) < COMPILE_FROM_SECONDS:
            return
        try:
            self._network = cast(torch.nn.Module, torch.compile(self._eager))
            self._compiled_for = len(patches)
            compiled, here = self._timed(patches)
        except RuntimeError as error:  # out of memory, or what torch's compilers raise
            _say(f"torch.compile does not work here ({type(error).__name__}); going on without.")
            compiled, here = float("inf"), there
        near = torch.cosine_similarity(here, there).min().item() > MIN_COSINE
        _say(f"a batch takes {eager:.3f} s, compiled {compiled:.3f} s; they agree: {near}")
        if eager < MIN_SPEEDUP * compiled or not near:
            self._network, self._compiled_for = self._eager, 0

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
        return torch.cat([self.launch(part).cpu() for part in parts]).numpy()

    def run(self, patch_store: Path, blocks: Iterable[Rows], keep: Keep, *, count: int) -> None:
        """Embed blocks of rows, in all `count`, and hand the embeddings in order to `keep`.

        `keep` is called in another thread.
        """
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

            def finish(behind: int) -> None:
                while len(waiting) > behind:
                    first, host, copied = waiting.popleft()
                    if copied:
                        copied.synchronize()
                    written.append(writing.submit(keep, first, host.numpy()))
                while len(written) > behind:
                    written.popleft().result()

            upcoming = stack.enter_context(closing(prefetch(read, blocks)))
            for first, patches in upcoming:
                whole = self.on.type == "cuda" and len(patches) >= self.batch
                if whole and not tried:  # on a processor it gains nothing
                    self.compile_if_it_pays(patches, count)
                tried, start = tried or whole, 0
                while start < len(patches):
                    part = patches[start : start + self.batch]
                    waiting.append((first + start, *self._to_host(self.launch(part))))
                    start += len(part)
                    finish(behind=1)
            finish(behind=0)

    def _to_host(self, embedding: Tensor) -> tuple[Tensor, torch.cuda.Event | None]:
        if self.on.type != "cuda":
            return embedding, None
        host = torch.empty(embedding.shape, dtype=embedding.dtype, pin_memory=True)
        host.copy_(embedding, non_blocking=True)
        copied = torch.cuda.Event()
        copied.record()
        return host, copied


def processor_batch(side: int) -> int:
    """Return how many images of that side a processor takes at once: a power of two.

    It depends on nothing else, so that the same patches give the same bits.

    >>> processor_batch(224), processor_batch(64), processor_batch(1024)
    (8, 64, 1)
    """
    return 1 << (max(1, min(MAX_BATCH, CACHED_PIXELS // side**2)).bit_length() - 1)
