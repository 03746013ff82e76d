"""Prefetch: results are computed in a thread while earlier ones are used."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def prefetch(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    pool: Executor | None = None,
    depth: int = 1,
) -> Generator[Result]:
    """Yield `work(item)` of each item in order, while the next `depth` of them are computed.

    Without a pool, one thread is started for this call.
    """
    waiting: deque[Future[Result]] = deque()
    with ExitStack() as stack:
        pool = pool or stack.enter_context(ThreadPoolExecutor(1))
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > depth:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
