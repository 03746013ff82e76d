"""Batches of a patch store in memory, copied to the device ahead of use."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

MAX_GPU_FRACTION = 0.5  # of its free memory, for a patch store
SLOTS = 3  # batches in transfer to a GPU at once


@dataclass
class _Slot:
    """A pinned buffer, its copy on the GPU, and the events after which each may be overwritten."""

    pinned: Tensor
    placed: Tensor
    arrived: torch.cuda.Event
    used: torch.cuda.Event


class BatchLoader:
    """Loads batches of a patch store to the training device.

    A store that fits is kept in GPU memory. Otherwise batches are gathered in pinned memory and
    copied while earlier ones are in use.
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
        """Return the patches of rows (n,), which are on the CPU, on the device."""
        if self._resident:
            return self.pixels.index_select(0, to_device(rows, self.device))
        return to_device(self.pixels.index_select(0, rows), self.device)

    def batches(self, rows: Tensor) -> Iterator[Tensor]:
        """Yield the patches of each row of `rows`.

        Parameters
        ----------
        rows : (steps, batch) int, on the CPU

        Yields
        ------
        (batch, stored, stored, 3) uint8 on the device, valid until the next but one is requested
        """
        if self._resident:
            for picked in to_device(rows, self.device):
                yield self.pixels.index_select(0, picked)
            return
        in_transfer: list[_Slot] = []
        for step, picked in enumerate(rows):
            in_transfer.append(self._send(step, picked))
            if len(in_transfer) == SLOTS - 1:
                yield from self._arrive(in_transfer.pop(0))
        for slot in in_transfer:
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
        slot.arrived.synchronize()  # copy of SLOTS batches ago: done
        torch.index_select(self.pixels, 0, rows, out=slot.pinned)
        with torch.cuda.stream(self._copies):
            self._copies.wait_event(slot.used)
            slot.placed.copy_(slot.pinned, non_blocking=True)
            slot.arrived.record(self._copies)
        return slot

    def _arrive(self, slot: _Slot) -> Iterator[Tensor]:
        """Yield a batch once its copy is done, then release its slot."""
        stream = torch.cuda.current_stream(self.device)
        stream.wait_event(slot.arrived)
        yield slot.placed
        slot.used.record(stream)


def to_device(values: Tensor, device: torch.device) -> Tensor:
    """Copy to a device without waiting for the copy."""
    if device.type == "cpu":
        return values
    return values.pin_memory().to(device, non_blocking=True)
