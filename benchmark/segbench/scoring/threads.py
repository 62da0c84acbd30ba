"""A function of many items by several threads, in order, with little waiting and little memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

BATCH = 8
"""Items that a thread takes at once: handing over costs about as much as counting a small mask."""
_AHEAD = 4


def in_order(
    function: Callable[[T], R], items: Sequence[T], *, jobs: int, expected: type[Exception]
) -> Iterator[tuple[T, R | Exception]]:
    """Each item with the function's result, or with the exception of the expected type it raised.

    Any other exception ends it. Few items are worked on ahead of the one that is yielded, so that
    what is remembered of the others is the caller's alone.
    """

    def batch_of(first: int) -> list[R | Exception]:
        return [guarded(item) for item in items[first : first + BATCH]]

    def guarded(item: T) -> R | Exception:
        try:
            return function(item)
        except expected as error:
            return error

    if jobs == 1:  # no thread to hand over to
        yield from ((item, guarded(item)) for item in items)
        return
    waiting: deque[tuple[int, Future[list[R | Exception]]]] = deque()
    with ThreadPoolExecutor(jobs) as pool:
        try:
            for first in range(0, len(items), BATCH):
                waiting.append((first, pool.submit(batch_of, first)))
                if len(waiting) > _AHEAD * jobs:
                    yield from _pairs(items, *waiting.popleft())
            while waiting:
                yield from _pairs(items, *waiting.popleft())
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _pairs(
    items: Sequence[T], first: int, future: Future[list[R | Exception]]
) -> Iterator[tuple[T, R | Exception]]:
    return zip(items[first : first + BATCH], future.result(), strict=True)
