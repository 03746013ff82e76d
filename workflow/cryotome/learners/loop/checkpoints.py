"""Checkpoints of a training, saved as it proceeds and read after a kill."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from cryotome.core.errors import TRUNCATED, raise_system_error
from cryotome.core.files import atomic_write
from cryotome.runtime.worker_lock import claim_partial_folder, clear_partial_work, lock_folder

MIN_INTERVAL_FACTOR = 20  # training time between two saves, in times of the last save


class Checkpoint:
    """A file of the whole state of a training, replaced as it proceeds."""

    def __init__(self, path: Path) -> None:
        self.path, self.step = path, 0  # step of the file; 0: none
        self._last, self._cost = perf_counter(), 0.0

    def load(self) -> dict[str, Any] | None:
        """Return the saved state, on the CPU; None if there is none.

        Raises
        ------
        OSError
            The disk fails; the checkpoint may be intact.
        """
        if not self.path.exists():
            return None
        try:
            state = torch.load(self.path, map_location="cpu", weights_only=True)
            self.step = int(state["step"])
        except TRUNCATED as error:
            raise_system_error(error, self.path)
            why = str(error).split(". ")[0][:200]
            print(f"{self.path} is broken ({why}); starting again.", file=sys.stderr)
            return None
        return state

    def save_if_due(self, state: Callable[[], dict[str, Any]]) -> None:
        """Save the state, unless that would take more than a twentieth of the time."""
        start = perf_counter()
        if start - self._last < MIN_INTERVAL_FACTOR * self._cost:
            return
        # given a path, torch would hide that the disk is full
        with atomic_write(self.path) as beside, open(beside, "wb") as file:
            torch.save(saved := state(), file)
        self.step = saved["step"]
        self._last = perf_counter()
        self._cost = self._last - start


@contextmanager
def checkpointed(folder: Path, passport: dict[str, Any]) -> Iterator[Checkpoint]:
    """Lock a folder of partial work; remove it when the block succeeds.

    Parameters
    ----------
    passport
        Everything that determines the training; a checkpoint of another one is never used.
    """
    with lock_folder(folder):
        claim_partial_folder(folder, passport)
        yield Checkpoint(folder / "checkpoint.pt")
        clear_partial_work(folder)
