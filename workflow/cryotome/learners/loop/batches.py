"""Patches on their way to the network: one tensor, no workers, no decoding, no waiting."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

MAX_GPU_FRACTION = 0.5  # of the free memory of a GPU that a patch store may take
SLOTS = 3  # batches under way to a GPU at once


@dataclass
class _Slot:
    """A pinned buffer, its copy on the GPU, and when each may be written again."""

    pinned: Tensor
    placed: Tensor
    arrived: torch.cuda.Event
    used: torch.cuda.Event


class BatchLoader:
    """Gathers batches of a patch store on the device that trains.

    On a GPU with room for it the whole store lies there. Where it does not fit, batches are
    gathered into pinned memory and copied while the batches before them are in use.
    """

    def __init__(self, pixels: Tensor, device: torch.device) -> None:
        self.pixels, self.device = pixels, device
        self._slots: list[_Slot] = []
        self.where = f"patches in memory, {pixels.nbytes / 1e9:.2f} GB"
        if device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(device)
            fits = pixels.nbytes <= MAX_GPU_FRACTION * free
            self.pixels = pixels.to(device) if fits else pixels
            place = "on the GPU" if fits else "in host memory, copied batch by batch"
            self.where = (
                f"patches {place}: {pixels.nbytes / 1e9:.2f} GB, {free / 1e9:.0f} GB were free"
            )
            self._copies = torch.cuda.Stream(device)

    @property
    def _resident(self) -> bool:
        return self.pixels.device.type == self.device.type

    def take(self, rows: Tensor) -> Tensor:
        """Return the patches of these rows (n,), on the processor, on the device."""
        if self._resident:
            return self.pixels.index_select(0, to_device(rows, self.device))
        return to_device(self.pixels.index_select(0, rows), self.device)

    def batches(self, rows: Tensor) -> Iterator[Tensor]:
        """Yield the patches of each row of `rows`.

        Parameters
        ----------
        rows : (steps, batch) int, on the processor

        Yields
        ------
        (batch, stored, stored, 3) uint8 on the device, good until the next but one is asked for
        """
        if self._resident:
            for picked in to_device(rows, self.device):
                yield self.pixels.index_select(0, picked)
            return
        under_way: list[_Slot] = []
        for step, picked in enumerate(rows):
            under_way.append(self._send(step, picked))
            if len(under_way) == SLOTS - 1:
                yield from self._arrive(under_way.pop(0))
        for slot in under_way:
            yield from self._arrive(slot)

    def _send(self, step: int, rows: Tensor) -> _Slot:
        """Gather a batch into pinned memory and start its copy."""
        if len(self._slots) <= step % SLOTS:
            pinned = torch.empty(
                (len(rows), *self.pixels.shape[1:]), dtype=torch.uint8, pin_memory=True
            )
            placed = torch.empty_like(pinned, device=self.device)
            self._copies.wait_stream(torch.cuda.current_stream(self.device))
            self._slots.append(_Slot(pinned, placed, torch.cuda.Event(), torch.cuda.Event()))
        slot = self._slots[step % SLOTS]
        slot.arrived.synchronize()  # of SLOTS batches ago: long past
        torch.index_select(self.pixels, 0, rows, out=slot.pinned)
        with torch.cuda.stream(self._copies):
            self._copies.wait_event(slot.used)
            slot.placed.copy_(slot.pinned, non_blocking=True)
            slot.arrived.record(self._copies)
        return slot

    def _arrive(self, slot: _Slot) -> Iterator[Tensor]:
        stream = torch.cuda.current_stream(self.device)
        stream.wait_event(slot.arrived)
        yield slot.placed
        slot.used.record(stream)


def to_device(values: Tensor, device: torch.device) -> Tensor:
    """Copy to a device without waiting for the copy."""
    if device.type == "cpu":
        return values
    return values.pin_memory().to(device, non_blocking=True)
