"""`segbench measures`: what the numbers mean."""

from __future__ import annotations

from typing import Annotated

import typer

from segbench.commands.options import Json


def measures(
    key: Annotated[str | None, typer.Argument(help="One measure, such as dice.")] = None,
    *,
    json: Json = False,
) -> None:
    """List the measures with formula, range and empty rule, or show one whole."""
    from segbench.commands.console import say_json, show  # noqa: PLC0415
    from segbench.commands.tables import measure_page, measures_table  # noqa: PLC0415
    from segbench.errors import SegbenchError  # noqa: PLC0415
    from segbench.measures import DEFINITIONS, TABLE  # noqa: PLC0415

    if key is not None and key not in DEFINITIONS:
        raise SegbenchError(f"no measure {key!r}; there are {', '.join(DEFINITIONS)}")
    chosen = TABLE if key is None else (DEFINITIONS[key],)
    if json:
        names = ("key", "title", "formula", "worst", "best", "family", "direction", "reference")
        say_json([{name: getattr(row, name) for name in names} for row in chosen])
    elif key is None:
        show(measures_table(chosen))
    else:
        show(measure_page(chosen[0]))
