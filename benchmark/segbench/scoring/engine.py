"""Who does the work: threads here or a Dask cluster, either with a journal of what is done.

Counting is a function of one sample, so an engine is a `map` that keeps the order and hands over
errors of an expected type. Everything that is scored goes through one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar, runtime_checkable

from segbench.masks.places import AT_A_TIME
from segbench.scoring.threads import in_order

T = TypeVar("T")
R = TypeVar("R")
T_contra = TypeVar("T_contra", contravariant=True)
R_co = TypeVar("R_co", covariant=True)


class Work(Protocol[T_contra, R_co]):
    """A function of one item, which may be called from several threads."""

    def __call__(self, item: T_contra, /) -> R_co:
        """The result of one item."""
        ...

    def part(self, items: Sequence[T_contra], /) -> Work[T_contra, R_co]:
        """The same function for these items alone: small, and fit to be pickled with them.

        Raises:
            SegbenchError: What it reads is only in this process.
        """
        ...


@runtime_checkable
class Lasting(Work[T_contra, R], Protocol[T_contra, R]):
    """Work whose results may be kept and used again when the same is asked for."""

    @property
    def signature(self) -> str:
        """Of all that a result depends on, but for the item: where it differs, none is used."""
        ...

    def key(self, item: T_contra, /) -> str:
        """The name of an item, unique among them."""
        ...

    def stamp(self, item: T_contra, /) -> str:
        """A digest of what is read for an item."""
        ...

    def part(self, items: Sequence[T_contra], /) -> Lasting[T_contra, R]:
        """See `Work`."""
        ...

    def record(self, result: R, /) -> object:
        """A result as JSON, exactly."""
        ...

    def recall(self, record: object, /) -> R:
        """The result again."""
        ...


class Engine(Protocol):
    """What runs work."""

    def run(
        self, work: Work[T, R], items: Sequence[T], *, expected: type[Exception]
    ) -> Iterator[tuple[T, R | Exception]]:
        """Each item, in order, with its result or the exception of the expected type it raised.

        Any other exception ends it.
        """
        ...


def n_threads(jobs: int | None, *, remote: bool) -> int:
    """How many threads: as asked, else one a core, or as many as wait well for a storage."""
    return jobs or max(os.cpu_count() or 1, AT_A_TIME if remote else 1)


@dataclass(frozen=True)
class Threads:
    """Threads of this process."""

    jobs: int

    def run(
        self, work: Work[T, R], items: Sequence[T], *, expected: type[Exception]
    ) -> Iterator[tuple[T, R | Exception]]:
        """See `Engine`."""
        return in_order(work, items, jobs=self.jobs, expected=expected)
