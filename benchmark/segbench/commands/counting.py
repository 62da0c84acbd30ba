"""What counts for a command: threads here or a Dask cluster, with a journal beside the results."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from segbench.commands.console import note

if TYPE_CHECKING:
    from segbench.scoring.engine import Engine


@contextlib.contextmanager
def counting(
    jobs: int | None, *, dask: str | None, remote: bool, out: Path | None
) -> Generator[Engine]:
    """The engine that the options ask for.

    With a folder to write to, what is counted is kept there until all is; an interruption says so.

    Raises:
        SegbenchError: The Dask cluster cannot do it.
    """
    from segbench.scoring.engine import Threads, n_threads  # noqa: PLC0415
    from segbench.scoring.journal import JOURNAL, Journaled  # noqa: PLC0415

    with contextlib.ExitStack() as stack:
        engine: Engine = Threads(n_threads(jobs, remote=remote))
        if dask is not None:
            from segbench.scoring.cluster import cluster  # noqa: PLC0415

            engine = stack.enter_context(cluster(dask, jobs=jobs, remote=remote))
        if out is None:
            yield engine
            return
        journal = out / JOURNAL
        try:
            yield Journaled(engine, journal, _going_on)
        except KeyboardInterrupt:
            kept = "run the same command again: it goes on from there"
            note(f"interrupted; {kept if journal.exists() else 'nothing half-made was left'}")
            raise typer.Exit(130) from None


def _going_on(done: int, of: int) -> None:
    note(f"going on: {done} of {of} samples were counted before (what changed is counted again)")
