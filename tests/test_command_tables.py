"""Over all commands: a row of a piped table is one line, and what has a table has --json."""

from __future__ import annotations

import inspect
import json
import re
import sys

import pytest
import typer

from segbench.commands.app import app

COMMANDS = dict(typer.main.get_command(app).commands)  # type: ignore[attr-defined]  a group
COMMANDS |= {
    f"{name} {own}": command
    for name, group in list(COMMANDS.items())
    for own, command in getattr(group, "commands", {}).items()
}


def of_module(command) -> str:
    return inspect.getsource(sys.modules[inspect.unwrap(command.callback).__module__])


@pytest.mark.parametrize("name", COMMANDS)
def test_what_prints_a_table_prints_json(name):
    command = COMMANDS[name]
    with_table = re.search(r"\b(show|show_\w+|console)\(", of_module(command))
    if with_table and name not in {"leaderboard build", "leaderboard open"}:  # which print lines
        assert "--json" in {word for option in command.params for word in option.opts}


@pytest.mark.parametrize("command", ["measures", "datasets", "dialects", "lint-claims"])
def test_a_row_of_a_piped_table_is_one_line(segbench, command):
    rows = json.loads(segbench(command, "--json").out)
    lines = segbench(command).out.splitlines()
    for row in rows:
        key = str(row.get("key") or row.get("rule") or row["name"])
        (line,) = [line for line in lines if line.strip().split(" ")[0].partition("@")[0] == key]
        for text in (row.get("reference"), row.get("formula"), row.get("title"), row.get("says")):
            assert " ".join((text or "").split()) in " ".join(line.split())
