"""`segbench compare A B [C ...]`: which of several entries is better, and how sure that is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segbench.commands.options import Interval, IntervalFlag, Json


def compare(
    folders: Annotated[
        list[Path], typer.Argument(help="Scores folders, as `segbench evaluate --out` wrote them.")
    ],
    *,
    measure: Annotated[
        str, typer.Option("--measure", help="dice, or more of it: dice|class:lesion|over:images.")
    ] = "dice",
    by: Annotated[
        list[str] | None, typer.Option("--by", help="Differences by a column of the rows (repeat).")
    ] = None,
    interval: Interval = IntervalFlag.PERCENTILE,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="Folder for comparison.json, .svg and .png; or one .json, .svg or .png."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Compare entries on the same images: differences, intervals, tests, where they differ."""
    from segbench.commands.comparison_tables import show_comparison  # noqa: PLC0415
    from segbench.commands.console import say, say_json  # noqa: PLC0415
    from segbench.report.comparison import comparison_figure  # noqa: PLC0415
    from segbench.scoring.compare import compare as compare_scores  # noqa: PLC0415
    from segbench.scoring.comparison_files import (  # noqa: PLC0415
        comparison_json,
        refuse_foreign_comparison,
        write_comparison,
    )

    if out is not None:
        refuse_foreign_comparison(out)  # before the work, not after it
    result = compare_scores(*folders, measure=measure, by=by or (), interval=interval.value)
    written: tuple[Path, ...] = ()
    if out is not None:
        written = write_comparison(result, out, draw=lambda path: comparison_figure(result, path))
    if json:
        say_json(comparison_json(result))
        return
    show_comparison(result)
    if written:
        say(f"written: {', '.join(map(str, written))}")
