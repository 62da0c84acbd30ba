"""How long work takes: medians of interleaved repetitions."""

from __future__ import annotations

import gc
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence


def seconds(
    works: Mapping[str, Callable[[], object]],
    *,
    rounds: int,
    clock: Callable[[], float] = time.process_time,
) -> dict[str, float]:
    """Median seconds of each piece of work; they take turns, after one round that does not count.

    By default processor time, of all threads of the process: for one thread that is the time that
    passes on a machine with nothing else to do.
    """
    taken: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(rounds + 1):
        for name, work in works.items():
            gc.collect()
            start = clock()
            work()
            if turn:
                taken[name].append(clock() - start)
    return {name: statistics.median(t) for name, t in taken.items()}


def command_seconds(commands: Mapping[str, Sequence[str]], *, rounds: int) -> dict[str, float]:
    """Median processor seconds of commands (user and system), which take turns."""

    def run(command: Sequence[str]) -> Callable[[], object]:
        return lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    def children() -> float:
        times = os.times()
        return times.children_user + times.children_system

    return seconds({n: run(c) for n, c in commands.items()}, rounds=rounds, clock=children)


def peak_bytes(program: str, *arguments: object) -> int:
    """Peak resident memory of a Python program that prints it, run in a process of its own."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(done.stdout.split()[-1]) * 1024
