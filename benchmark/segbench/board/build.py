"""Build the board: tables, plots and the page beside the entries, or check that they are built.

Everything is made in a folder beside the target and then moved in its place, file by file and
folder by folder. Only what an earlier build made is replaced; entries are never touched. The same
entries give the same bytes; the plots also depend on matplotlib's version, which they name.
"""

from __future__ import annotations

import os
import posixpath
import re
import tempfile
from pathlib import Path

from segbench.board.contents import Board, read_board
from segbench.board.latex import board_latex
from segbench.board.plots import write_plots
from segbench.board.readme import board_markdown
from segbench.board.records import CSV_HEAD, MADE_BY, board_csv, board_json
from segbench.board.site import is_site, write_site
from segbench.errors import Problems, SegbenchError
from segbench.folders import building, place_folder, refuse_nowhere

README, CSV, JSON, TEX = "README.md", "leaderboard.csv", "leaderboard.json", "leaderboard.tex"
PLOTS, SITE = "plots", "site"

_FILES = {
    README: f"<!-- made by `{MADE_BY}`",
    CSV: ",".join(CSV_HEAD),
    JSON: f'{{\n "schema_version": 1,\n "made_by": "{MADE_BY}"',
    TEX: f"% made by `{MADE_BY}`",
}
"""The files of a board and how each begins: by this an earlier build is known."""

_DRAWN_BY = re.compile(r"Matplotlib v[0-9][^\s,<]*")


def build(
    results: Path,
    *,
    out: Path | None = None,
    data: Path | None = None,
    dataset: str | None = None,
    measure: str = "dice",
) -> tuple[Board, tuple[str, ...]]:
    """Build the board of a results folder.

    Args:
        results: Holds the entries.
        out: Where to build; the results folder itself if not given.
        data: Prepared datasets, for the page's viewer of those with an open licence.
        dataset: Only this one; a board of a part is not built over the whole one.
        measure: By which entries are ranked.

    Returns:
        The board and the names of the files that were written, sorted.

    Raises:
        SegbenchError: An entry is damaged, or a file that no build made is in the way.
    """
    out = _target(results, out, dataset)
    board = read_board(results, dataset=dataset, measure=measure)
    _refuse_foreign(out)
    with building(out / "board") as made:
        written = _write(board, results, out, made, data=data)
        for name in _FILES:
            (made / name).replace(out / name)
        for folder in _folders(made):
            place_folder(
                out / folder, lambda new, name=folder: _move_all(made / name, new), replace=True
            )
    return board, written


def differences(
    results: Path,
    *,
    out: Path | None = None,
    data: Path | None = None,
    dataset: str | None = None,
    measure: str = "dice",
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Compare what is built with what would be built; nothing is changed.

    Returns:
        The files that differ, are missing or should not be there, sorted; and the plots that cannot
        be compared, as another version of matplotlib drew them.

    Raises:
        SegbenchError: An entry is damaged.
    """
    out = _target(results, out, dataset)
    board = read_board(results, dataset=dataset, measure=measure)
    differing: list[str] = []
    other_version: list[str] = []
    with tempfile.TemporaryDirectory(prefix="segbench-board-") as scratch:
        made = Path(scratch)
        _write(board, results, out, made, data=data)
        for name in sorted(set(_built(made)) | set(_built(out))):
            new, old = _bytes(made / name), _bytes(out / name)
            if new == old:
                continue
            drawn = {m[0] for m in (_DRAWN_BY.search(_text(b)) for b in (new, old)) if m}
            if name.endswith(".svg") and len(drawn) > 1:
                other_version.append(name)
            else:
                differing.append(name)
    return tuple(differing), tuple(other_version)


def _target(results: Path, out: Path | None, dataset: str | None) -> Path:
    refuse_nowhere(out or results)
    if out is None or out.resolve() == results.resolve():
        if dataset is not None:
            raise SegbenchError(
                f"a board of {dataset} alone would replace that of all datasets in {results}; "
                f"name another folder with --out"
            )
        return results
    return out


def _write(
    board: Board, results: Path, out: Path, made: Path, *, data: Path | None
) -> tuple[str, ...]:
    """Write everything into an empty folder; links lead from `out` to the entries."""
    entries = os.path.relpath(results.resolve(), out.resolve()).replace(os.sep, "/")
    plots = write_plots(board, made / PLOTS)
    for name, text in (
        (README, board_markdown(board, plots, entries=entries)),
        (CSV, board_csv(board)),
        (JSON, board_json(board)),
        (TEX, board_latex(board)),
    ):
        (made / name).write_text(text, encoding="utf-8", newline="\n")
    published = [entry for section in board.sections for entry in section.published]
    from_site = posixpath.normpath(f"../{entries}")
    write_site(board.standings, published, made / SITE, data=data, results_link=from_site)
    return tuple(_built(made))


def _folders(folder: Path) -> list[str]:
    return [name for name in (PLOTS, SITE) if (folder / name).is_dir()]


def _built(folder: Path) -> list[str]:
    """The names of the files of a board in a folder, sorted."""
    found = [name for name in _FILES if (folder / name).is_file()]
    for name in _folders(folder):
        inside = (path for path in (folder / name).rglob("*") if path.is_file())
        found += [path.relative_to(folder).as_posix() for path in inside]
    return sorted(found)


def _refuse_foreign(out: Path) -> None:
    """Refuse to replace what no build made.

    Raises:
        SegbenchError: Says which files.
    """
    if out.exists() and not out.is_dir():
        raise SegbenchError(f"{out}: is a file; expected a folder to build the board in")
    problems = Problems()
    for name, begins in _FILES.items():
        path = out / name
        if path.is_dir() or (path.is_file() and not _text(_bytes(path)).startswith(begins)):
            problems.add("not made by a build", str(path))
    plots = out / PLOTS
    if plots.is_file() or plots.is_symlink():
        problems.add("not made by a build", str(plots))
    elif plots.is_dir():
        for path in sorted(plots.iterdir()):
            if path.suffix != ".svg" or not _DRAWN_BY.search(_text(_bytes(path))):
                problems.add("not made by a build", str(path))
    site = out / SITE
    if site.is_symlink() or (site.exists() and not is_site(site)):
        problems.add("not made by a build", str(site))
    problems.raise_if_any(f"{out}: holds what a build would replace; move it, or choose --out")


def _move_all(source: Path, target: Path) -> None:
    for path in sorted(source.iterdir()):
        path.replace(target / path.name)


def _bytes(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


def _text(content: bytes) -> str:
    return content.decode("utf-8", "replace")
