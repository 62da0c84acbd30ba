"""Ask a person on a terminal for what a submission lacks; never in CI, never in a pipe."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import typer

from segbench.board.method import MethodFile, method_toml, read_method
from segbench.commands.console import say
from segbench.errors import SegbenchError


def can_ask() -> bool:
    """Whether somebody sits at a terminal: stdin is one, and CI is not set."""
    return sys.stdin.isatty() and not os.environ.get("CI")


def refuse_to_ask(missing: list[str]) -> SegbenchError:
    """The error that says what is missing, with a template where it is the method."""
    text = f"missing: {', '.join(missing)}"
    if "--method" in missing:
        text += (
            "\nexpected --method method.toml, what was done to make the masks; a template "
            "(`segbench submit --template > method.toml` writes it):\n\n" + method_toml()
        )
    if "--name" in missing:
        text += "\nexpected --name, such as --name my-unet: the entry's folder"
    return SegbenchError(text)


def ask_name() -> str:
    """The name of the entry."""
    return typer.prompt("name of the entry (lower case, digits, - and .)")


def ask_method(name: str) -> MethodFile:
    """What was done, question by question; the answers are written to a method.toml.

    Raises:
        SegbenchError: An answer breaks the schema, or the file cannot be written.
    """
    path = Path(f"{name if name.replace('-', '').replace('.', '').isalnum() else 'my'}.method.toml")
    if path.exists():
        raise SegbenchError(f"{path}: exists; use it with --method {path}, or remove it")
    say("what made the masks? (an empty answer where there is a default)")
    authors = typer.prompt("authors, by comma")
    text = method_toml(
        title=typer.prompt("title, as it stands in the table"),
        description=typer.prompt("description, a sentence or two"),
        authors=tuple(a.strip() for a in authors.split(",") if a.strip()),
        training_data=typer.prompt("trained on (or: none)"),
        reference=typer.prompt("reference (paper, DOI)", default="", show_default=False),
        commands=tuple(c for c in [typer.prompt("command", default="", show_default=False)] if c),
        licence=typer.prompt("licence of the predictions", default="", show_default=False),
        code=typer.prompt("URL of the code", default="", show_default=False),
    )
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise SegbenchError(f"{path}: cannot be written ({error.strerror})") from error
    say(f"written: {path} (cost, links and more can be filled in there)")
    return read_method(path)
