"""What all commands share when they speak: tables and notes on stdout, progress on stderr."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

WHOLE_LINES = 1 << 16
"""The width, in columns, of what is no terminal: a row of a table is one line there."""

Update = Callable[[str, int, int], None]


def console(*, stderr: bool = False) -> Console:
    """A rich console; piped output is never wrapped or coloured, and brackets are brackets."""
    from rich.console import Console  # noqa: PLC0415

    stream = sys.stderr if stderr else sys.stdout
    return Console(
        stderr=stderr,
        highlight=False,
        markup=False,  # a file or an entry may be called anything
        width=None if stream.isatty() else WHOLE_LINES,
        soft_wrap=False,
    )


def speak_any_text() -> None:
    """Print what the terminal's encoding lacks as escapes: a file may be called anything."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def show(what: RenderableType) -> None:
    """Print a table or rich text."""
    console().print(what)


def say(text: str = "") -> None:
    """Print a line as it is."""
    print(text)  # noqa: T201  the command line speaks


def note(text: str) -> None:
    """Print a line beside the results, on stderr."""
    print(harmless(text), file=sys.stderr)  # noqa: T201  as above


def harmless(text: str) -> str:
    """A text without what a terminal would obey: a stranger's file name may hold anything."""
    return "".join(
        c if c in "\n\t" or c.isprintable() else c.encode("unicode_escape").decode("ascii")
        for c in text
    )


def say_json(value: object) -> None:
    """Print machine-readable output."""
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(value, indent=1, allow_nan=False)
    say(text)


@contextlib.contextmanager
def progress_bar() -> Generator[Update]:
    """A progress bar on a terminal's stderr; silent elsewhere. Call it with (what, done, of)."""
    if not sys.stderr.isatty():
        yield lambda _what, _done, _of: None
        return
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console(stderr=True), transient=True) as bar:
        tasks = {}

        def update(what: str, done: int, of: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=of)
            bar.update(tasks[what], completed=done, total=of)

        yield update
