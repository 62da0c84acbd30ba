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
    from segbench.measures import EMPTY_RULES, TABLE, definition_of  # noqa: PLC0415

    chosen = TABLE if key is None else (definition_of(key),)
    if json:
        names = ("key", "title", "formula", "best", "family", "direction", "reference", "options")
        say_json(
            [
                {name: getattr(row, name) for name in names}
                | {
                    "worst": "image diagonal" if row.unit else row.worst,
                    "unit": "px or mm" if row.unit else "fraction",
                    "empty_rule": EMPTY_RULES[row.family],
                }
                for row in chosen
            ]
        )
    elif key is None:
        show(measures_table(chosen))
    else:
        show(measure_page(chosen[0]))
