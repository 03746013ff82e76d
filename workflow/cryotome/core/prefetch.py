"""Read the next block while the last one is worked on."""

from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Block = TypeVar("Block")


def ahead(items: Iterable[Item], read: Callable[[Item], Block]) -> Generator[Block]:
    """Yield `read(item)` for each item while a thread already reads the next."""
    with ThreadPoolExecutor(1) as reading:
        upcoming: Future[Block] | None = None
        for item in items:
            reads = reading.submit(read, item)
            if upcoming:
                yield upcoming.result()
            upcoming = reads
        if upcoming:
            yield upcoming.result()
