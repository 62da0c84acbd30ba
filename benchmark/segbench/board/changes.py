"""Which entries a branch adds or changes, by git; and what a stranger's branch may not do.

A stranger adds entries. An entry that is there already is its authors': a pull request of somebody
else that changes or removes it is refused, and so is a status that only maintainers give.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from segbench.board.entry import ENTRY, FILES, read_entry
from segbench.catalog.card import RESERVED_NAMES
from segbench.errors import Problems, SegbenchError

_DEPTH = 3
"""Of an entry's file below the results: dataset, entry, file."""


@dataclass(frozen=True, kw_only=True)
class Changes:
    """What a branch does to the results.

    Attributes:
        folders: Of the entries that it adds or changes, in order.
        problems: What only a maintainer may do.
    """

    folders: tuple[Path, ...]
    problems: Problems


def changed_entries(results: Path, since: str) -> Changes:
    """The entries below a results folder that differ from where a branch began.

    Args:
        results: The folder, in a git work tree.
        since: A revision such as `origin/main`.

    Raises:
        SegbenchError: It is no git work tree, or the revision is unknown.
    """
    if since.startswith("-"):
        raise SegbenchError(f"{since!r} is no revision")
    top = Path(_git(results, "rev-parse", "--show-toplevel").strip())
    inside = results.resolve().relative_to(top.resolve())
    base = _git(top, "merge-base", since, "HEAD").strip()
    listed = _git(top, "diff", "--name-status", "--no-renames", "-z", base)
    problems, folders = Problems(), dict[Path, None]()
    fields = listed.split("\0")[:-1]
    new = _git(top, "ls-files", "--others", "--exclude-standard", "-z", "--", str(inside))
    changed = [*zip(fields[::2], fields[1::2], strict=True)]
    changed += [("A", name) for name in new.split("\0")[:-1]]
    for status, name in changed:
        parts = _below(Path(name), inside)
        if len(parts) < _DEPTH or parts[0] in RESERVED_NAMES:
            problems.add(
                f"change outside {inside.as_posix()}/<dataset>/<entry>/",
                ascii(name)[1:-1],
                hint="a submission adds an entry and nothing else; maintainers rebuild the board",
            )
            continue
        folder = results.joinpath(*parts[: _DEPTH - 1])
        before = _entry_at(top, base, (inside / parts[0] / parts[1] / ENTRY).as_posix())
        if len(parts) > _DEPTH or parts[-1] not in FILES:
            problems.add("file that is no part of an entry", ascii(name))
        elif status == "D":
            problems.add("file of an entry that is removed", name)
        elif before is not None:
            problems.add(
                "change of an entry that is there",
                name,
                hint="submit it under a name of your own; corrections are a maintainer's",
            )
        if folder.is_dir():
            folders.setdefault(folder)
    for folder in folders:
        _refuse_status(folder, problems)
    return Changes(folders=tuple(sorted(folders)), problems=problems)


def _below(path: Path, folder: Path) -> tuple[str, ...]:
    """The parts of a path below a folder; none where it is elsewhere."""
    return path.relative_to(folder).parts if path.is_relative_to(folder) else ()


def _refuse_status(folder: Path, problems: Problems) -> None:
    try:
        entry = read_entry(folder)
    except SegbenchError:
        return  # `verify` says what is wrong with it
    if entry.status == "verified":
        problems.add(
            "status that maintainers give",
            f"{entry.dataset}/{entry.name}: verified",
            hint="a submission is `reported`; a maintainer scores it again and marks it",
        )


def _entry_at(top: Path, revision: str, path: str) -> object:
    """What entry.json held at a revision; None where there was none."""
    try:
        return json.loads(_git(top, "show", f"{revision}:{path}"))
    except (SegbenchError, ValueError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603  a fixed program with arguments of our own
            ["git", "-C", str(folder), *arguments],  # noqa: S607  found on PATH as everywhere
            capture_output=True,
            text=True,
            check=True,
            errors="surrogateescape",
        )
    except FileNotFoundError as error:
        raise SegbenchError("git was not found; name the entries' folders instead") from error
    except subprocess.CalledProcessError as error:
        said = error.stderr.strip().splitlines()
        raise SegbenchError(
            f"{folder}: git {arguments[0]} failed ({said[-1] if said else 'no message'}); name the "
            f"entries' folders instead"
        ) from error
    return done.stdout
