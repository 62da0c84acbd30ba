"""Tables of dialects for the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from segbench.commands.console import console
from segbench.commands.tables import new_table
from segbench.dialects import Conversation, Dialect, Said, name_of, rounded, say

SAME = 1e-6
"""Relative difference under which two numbers are called equal: what float32 leaves."""


def dialects_list(dialects: Sequence[Dialect]) -> Table:
    """What there is."""
    table = new_table(
        caption="`segbench dialects --predictions DIR` prints them side by side; "
        "`segbench evaluate --predictions DIR --dialect NAME` prints one"
    )
    for name in ("dialect", "tool", "held to version", "numbers", "what marks it"):
        table.add_column(name, overflow="fold")
    for d in dialects:
        table.add_row(d.name, d.title, d.version, f"{len(d.numbers)}", Text(d.about))
    return table


def show_dialects(conversation: Conversation, dialects: Sequence[Dialect]) -> None:
    """Each dialect's numbers beside our own nearest ones, with the reason for the difference."""
    out = console()
    out.print(headline(conversation))
    for dialect in dialects:
        out.print(dialect_table(conversation, dialect))


def headline(conversation: Conversation) -> Text:
    """What was scored, and what distances are measured in."""
    target = conversation.target
    unit = "px" if conversation.ruler.spacing_mm is None else "mm"
    return Text.assemble(
        (f"{target.name}@{target.version}", "bold"),
        f" {target.selection} - "
        f"{conversation.observed.n_images} images; distances in {unit}, surface Dice within "
        f"{conversation.ruler.tolerance:g} {unit}",
    )


def dialect_table(conversation: Conversation, dialect: Dialect) -> Table:
    """One dialect's numbers, a line for each class."""
    mean = f"; mean over images: {dialect.mean}" if dialect.mean else ""
    table = new_table(f"{dialect.name}: {dialect.title} {dialect.version}{mean}")
    table.add_column("number", overflow="fold", ratio=5)
    table.add_column("class")
    table.add_column("prints", justify="right")
    table.add_column("ours", justify="right")
    table.add_column("our measure", overflow="fold", ratio=2)
    table.add_column("why it differs", overflow="fold", ratio=6)
    for said in say(dialect, conversation.observed):
        for row in _rows(conversation, said):
            table.add_row(*(Text(cell) for cell in row))
    changed = rounded(dialect, conversation.observed)
    table.caption = _wrong(changed) or None
    return table


def _rows(conversation: Conversation, said: Said) -> list[tuple[str, ...]]:
    number, name = said.number, name_of(said.number, conversation.ruler)
    if said.error:
        return [(name, "", "error", "", "", said.error)]
    rows: list[tuple[str, ...]] = []
    for label, value in said.values.items():
        measure = conversation.our_measure(number, label)
        ours = math.nan if measure is None else conversation.ours[measure]
        same = not number.percent and math.isclose(value, ours, rel_tol=SAME)
        reasons = ("equal here" if same else "", number.why, _wrong(number.wrong))
        rows.append(
            (
                "" if rows else name,
                label,
                f"{value:.2f}" if number.percent else _number(value),
                "" if measure is None else _number(ours),
                "" if measure is None else f"{measure.key} over {measure.over}",
                "" if rows else _why(reasons),
            )
        )
    return rows


def _why(reasons: tuple[str, str, str]) -> str:
    here, why, wrong = reasons
    return "; ".join(part for part in (here, why, wrong) if part) if why else "the same rule"


def _wrong(text: str) -> str:
    return f"WRONG: {text}" if text else ""


def _number(value: float) -> str:
    if math.isnan(value):
        return "nan"
    return f"{value:.5g}" if abs(value) > 1 else f"{value:.5f}"
