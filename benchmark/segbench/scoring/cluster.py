"""The same work on a Dask cluster: in chunks, again where a worker is lost, in order.

A task is a chunk of samples with the part of the submission that they need, and each result is
exact, so what is scored does not depend on who counted which sample. Predictions and references
are read by the workers: they must see the same files, under the same paths or URLs.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import platform
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass
from typing import Any, TypeVar

from segbench._version import __version__
from segbench.errors import SegbenchError
from segbench.scoring.engine import Work
from segbench.scoring.threads import in_order

T = TypeVar("T")
R = TypeVar("R")

LOCAL = "local"
"""As an address: a cluster of processes on this machine, for as long as it is needed."""

CHUNK = 256
"""Samples of a task. With boundaries about a second of work, of which the scheduler takes 1 %."""

RETRIES = 3
"""How often a chunk is tried again that failed otherwise than by its samples."""

_CHUNKS_PER_THREAD = 4
_AHEAD = 3
_CONNECT_S = 20


@dataclass(frozen=True)
class Dask:
    """A Dask cluster, as an engine (see `cluster`).

    Attributes:
        client: A `distributed.Client` (Any: its methods are typed as if they might be awaited).
        lanes: Samples that a thread of a worker has in hand at a time; more than one where files
            are read from a URL.
    """

    client: Any
    lanes: int = 1

    def run(
        self, work: Work[T, R], items: Sequence[T], *, expected: type[Exception]
    ) -> Iterator[tuple[T, R | Exception]]:
        """See `Engine`."""
        threads = max(1, sum(self.client.nthreads().values()))
        size = min(CHUNK, max(1, math.ceil(len(items) / (_CHUNKS_PER_THREAD * threads))))
        waiting: deque[tuple[Sequence[T], Any]] = deque()
        try:
            for first in range(0, len(items), size):
                chunk = items[first : first + size]
                waiting.append((chunk, self._submit(work.part(chunk), chunk, expected)))
                if len(waiting) > _AHEAD * threads:
                    yield from self._results(*waiting.popleft())
            while waiting:
                yield from self._results(*waiting.popleft())
        finally:
            self.client.cancel([future for _, future in waiting])

    def _submit(self, work: Work[T, R], chunk: Sequence[T], expected: type[Exception]) -> Any:  # noqa: ANN401  a Future
        task = _Chunk(__version__, work, tuple(chunk), expected, self.lanes)
        return self.client.submit(task, pure=False, retries=RETRIES)

    def _results(self, chunk: Sequence[T], future: Any) -> Iterator[tuple[T, Any]]:  # noqa: ANN401  as above
        from distributed import KilledWorker  # noqa: PLC0415

        try:
            results = future.result()
        except KilledWorker as error:
            raise SegbenchError(
                f"{self.client.scheduler.address}: {error.allowed_failures + 1} workers ended "
                f"while they counted the same {len(chunk)} samples; is their memory enough? their "
                f"logs say more"
            ) from error
        except CancelledError as error:
            raise SegbenchError(
                f"{self.client.scheduler.address}: the scheduler is gone; start it again, or count "
                f"without --dask (with --out, what was counted is kept)"
            ) from error
        except OSError as error:
            raise SegbenchError(
                f"a worker of {self.client.scheduler.address} cannot read a file, after "
                f"{RETRIES} more tries: {error}; every worker must see the predictions and the "
                f"references under the same paths: use a folder that all share, or URLs"
            ) from error
        if isinstance(results, SegbenchError):
            raise results
        return zip(chunk, results, strict=True)


@dataclass(frozen=True)
class _Chunk:
    """What one task does. It runs in a worker."""

    version: str
    work: Work[Any, Any]
    items: tuple[Any, ...]
    expected: type[Exception]
    lanes: int

    def __call__(self) -> list[Any] | SegbenchError:
        """The results; or what refuses them all, which would be no other at another try."""
        if self.version != __version__:
            return _other_version(platform.node(), __version__)
        try:
            done = in_order(self.work, self.items, jobs=self.lanes, expected=self.expected)
            return [result for _, result in done]
        except SegbenchError as error:
            return error
        except OSError as error:
            raise OSError(f"{platform.node()}: {error}") from error


@contextlib.contextmanager
def cluster(address: str, *, jobs: int | None = None, remote: bool = False) -> Generator[Dask]:
    """A connection to a cluster whose workers have this version of segbench.

    Args:
        address: Of its scheduler (`tcp://host:8786`), or `local` for processes here.
        jobs: How many processes, if it is local; None for one a core.
        remote: Whether files are read from a URL, which takes more waiting than work.

    Raises:
        SegbenchError: Dask is not installed, nobody answers there, there are no workers, or one
            has no segbench or another version.
    """
    from segbench.masks.places import AT_A_TIME  # noqa: PLC0415

    try:
        from distributed import Client, LocalCluster  # noqa: PLC0415
    except ImportError as error:
        raise SegbenchError(
            f"--dask needs {error.name}, which is not installed: pip install 'segbench[dask]' "
            f"(from a checkout: pip install -e '.[dask]')"
        ) from error
    with contextlib.ExitStack() as stack:
        if address == LOCAL:
            n = jobs or os.cpu_count() or 1
            options: dict[str, Any] = {
                "threads_per_worker": 1,
                "dashboard_address": "127.0.0.1:0",
                "silence_logs": logging.CRITICAL,  # what goes wrong is raised; the rest is parting
            }
            local = LocalCluster(n_workers=n, **options)
            client = stack.enter_context(Client(stack.enter_context(local)))
        else:
            try:
                client = stack.enter_context(Client(address, timeout=_CONNECT_S))
            except (OSError, ValueError) as error:
                raise SegbenchError(
                    f"--dask {address}: no Dask scheduler answers there ({error}); expected the "
                    f"address that `dask scheduler` prints, such as tcp://host:8786, or local"
                ) from error
        _check_workers(client)
        yield Dask(client, AT_A_TIME if remote else 1)


def _check_workers(client: Any) -> None:  # noqa: ANN401  as `Dask.client`
    """Refuse a cluster whose workers cannot do the work, before any is sent."""
    address = client.scheduler.address
    try:
        client.wait_for_workers(1, timeout=_CONNECT_S)
    except TimeoutError as error:
        raise SegbenchError(
            f"{address}: the scheduler has no workers; start some with `dask worker {address}`"
        ) from error

    def version() -> str:  # pickled by its code: it must run where there is no segbench
        try:
            from segbench import __version__  # noqa: PLC0415
        except ImportError:
            return ""
        return __version__

    for worker, found in client.run(version).items():
        if found != __version__:
            raise _other_version(worker, found)


def _other_version(where: str, found: str) -> SegbenchError:
    has = f"has segbench {found}" if found else "has no segbench"
    return SegbenchError(
        f"the worker {where} {has}, and this is {__version__}; install the same version in the "
        f"environment of every worker: pip install 'segbench[dask]=={__version__}'"
    )
