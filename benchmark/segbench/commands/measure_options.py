"""Options of commands that measure: what is measured, and by which rules."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

PANEL = "Options of the measures (they stand in each signature)"


class EmptyFlag(StrEnum):
    """What `--empty` may say."""

    NAN = "nan"
    ONE = "1"
    ZERO = "0"


class EmptyDistanceFlag(StrEnum):
    """What `--empty-distance` may say."""

    DIAGONAL = "diagonal"
    NAN = "nan"
    INF = "inf"


class SkeletonFlag(StrEnum):
    """What `--skeleton` may say."""

    ZHANG = "zhang"
    LEE = "lee"


class ConnectivityFlag(StrEnum):
    """What `--connectivity` may say."""

    FOUR = "4"
    EIGHT = "8"


class BoundaryFlag(StrEnum):
    """What `--boundary` may say."""

    INNER = "inner"
    LENGTH = "length"


class RuleFlag(StrEnum):
    """What `--percentile-rule` may say."""

    MAX = "max"
    POOLED = "pooled"


class BinningFlag(StrEnum):
    """What `--binning` may say."""

    WIDTH = "width"
    MASS = "mass"


Surface = Annotated[
    bool,
    typer.Option(
        "--surface/--no-surface",
        help="Measure boundaries too (Hausdorff, surface Dice, ...).",
        rich_help_panel=PANEL,
    ),
]
SpacingMm = Annotated[
    str,
    typer.Option(
        "--spacing-mm",
        help="Distance of rows and of columns, as 0.5,0.25; else distances are in pixels.",
        rich_help_panel=PANEL,
    ),
]
Tolerance = Annotated[
    float,
    typer.Option(
        "--tolerance",
        help="Of nsd and boundary_f1, in pixels, or mm with --spacing-mm.",
        min=0,
        rich_help_panel=PANEL,
    ),
]
Boundary = Annotated[
    BoundaryFlag,
    typer.Option(
        "--boundary",
        help="inner: 4-neighbour inner boundary pixels; length: elements weighted by length.",
        rich_help_panel=PANEL,
    ),
]
Percentile = Annotated[
    float,
    typer.Option(
        "--percentile",
        help="Of the Hausdorff distance given beside the greatest (hd95).",
        rich_help_panel=PANEL,
    ),
]
PercentileRule = Annotated[
    RuleFlag,
    typer.Option(
        "--percentile-rule",
        help="The larger of both directions' percentiles, or that of both pooled.",
        rich_help_panel=PANEL,
    ),
]
DilationRatio = Annotated[
    float,
    typer.Option(
        "--dilation-ratio",
        help="Width of boundary_iou's bands, as a share of the image's diagonal.",
        rich_help_panel=PANEL,
    ),
]
Topology = Annotated[
    bool,
    typer.Option(
        "--topology/--no-topology",
        help="Measure topology too: centreline Dice, components, holes.",
        rich_help_panel=PANEL,
    ),
]
Skeleton = Annotated[
    SkeletonFlag,
    typer.Option("--skeleton", help="How cldice finds a centreline.", rich_help_panel=PANEL),
]
Connectivity = Annotated[
    ConnectivityFlag,
    typer.Option(
        "--connectivity",
        help="Neighbours of a foreground pixel, for components and holes.",
        rich_help_panel=PANEL,
    ),
]
IouThreshold = Annotated[
    float,
    typer.Option(
        "--iou-threshold",
        help="Below it an image counts as a failure (thresholded_iou, failure_rate).",
        min=0,
        max=1,
        rich_help_panel=PANEL,
    ),
]
Empty = Annotated[
    EmptyFlag,
    typer.Option(
        "--empty",
        help="Value of overlaps where reference and prediction are empty.",
        rich_help_panel=PANEL,
    ),
]
EmptyDistance = Annotated[
    EmptyDistanceFlag,
    typer.Option(
        "--empty-distance",
        help="Value of distances where just one of them is empty.",
        rich_help_panel=PANEL,
    ),
]
Soft = Annotated[
    bool,
    typer.Option(
        "--soft",
        help="Measure probabilities too: AP, AUROC, Brier, log-likelihood, ECE.",
        rich_help_panel=PANEL,
    ),
]
Bins = Annotated[
    int,
    typer.Option(
        "--bins", help="Of the calibration error.", min=1, max=1000, rich_help_panel=PANEL
    ),
]
Binning = Annotated[
    BinningFlag,
    typer.Option(
        "--binning",
        help="Bins of equal width, or of equal mass (as many pixels in each).",
        rich_help_panel=PANEL,
    ),
]
Clip = Annotated[
    float,
    typer.Option(
        "--clip",
        help="Least probability, and least distance from 1, in the log-likelihood.",
        rich_help_panel=PANEL,
    ),
]


def spacing_of(text: str) -> tuple[float, float] | None:
    """`0.5,0.25` (row, column) or one number for both."""
    if not text:
        return None
    try:
        row, *rest = (float(side) for side in text.split(","))
    except ValueError:
        rest, row = [0.0, 0.0], 0.0
    if len(rest) > 1:
        raise typer.BadParameter(
            f"--spacing-mm {text}: expected a number, or two as 0.5,0.25 (rows, columns)"
        )
    return row, rest[0] if rest else row
