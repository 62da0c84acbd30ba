"""Options that several commands share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class DeviceFlag(StrEnum):
    """What `--device` may say."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"
    MPS = "mps"


Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        help="Where prepared datasets live (else SEGBENCH_DATA, else the user's data folder).",
    ),
]
DataOrUrl = Annotated[
    str | None,
    typer.Option(
        "--data",
        help="Where prepared datasets live, a folder or URL (else SEGBENCH_DATA, else the user's "
        "data folder).",
    ),
]
Split = Annotated[str, typer.Option("--split", help="train, val or test.")]
Fold = Annotated[
    int | None, typer.Option("--fold", help="Fold (0-4) to use in place of a split.", min=0, max=4)
]
Jobs = Annotated[
    int | None, typer.Option("--jobs", help="Samples at a time (default: all cores).", min=1)
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]


class IntervalFlag(StrEnum):
    """What `--interval` may say."""

    PERCENTILE = "percentile"
    BCA = "bca"


Interval = Annotated[
    IntervalFlag, typer.Option("--interval", help="How the bootstrap interval is formed.")
]
CardPath = Annotated[
    Path | None, typer.Option("--card", help="A card.toml (or its folder) outside segbench.")
]


def n_jobs(jobs: int | None) -> int:
    """The number of workers asked for, else of cores."""
    import os  # noqa: PLC0415

    return jobs or os.cpu_count() or 1
