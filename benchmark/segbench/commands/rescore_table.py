"""The table that `segbench rescore` prints."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table

from segbench.board.rescore import Change

MAX_ROWS = 40


def changes_table(changes: Sequence[Change]) -> Table:
    """Old and new value of each score that changes, the first 40."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("measure", "class", "over"):
        table.add_column(name)
    for name in ("old", "95 % interval", "new", "95 % interval", "difference"):
        table.add_column(name, justify="right")
    for change in changes[:MAX_ROWS]:
        both = change.old is not None and change.new is not None
        table.add_row(
            change.measure,
            change.label,
            change.over,
            _number(change.old),
            _interval(change.old_ci95),
            _number(change.new),
            _interval(change.new_ci95),
            f"{change.new - change.old:+.2g}" if both else "",  # type: ignore[operator]  as `both`
        )
    if len(changes) > MAX_ROWS:
        table.add_row(f"... {len(changes) - MAX_ROWS} more (--json)")
    return table


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.6f}"


def _interval(ends: Sequence[float | None]) -> str:
    return "[{:.4f}, {:.4f}]".format(*ends) if ends and None not in ends else ""
