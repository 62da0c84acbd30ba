"""Write the page: a folder a board, a file an entry, data beside them; the same bytes always."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from itertools import combinations
from pathlib import Path

from segbench.board.entry import Entry
from segbench.board.site.boards import Board, boards
from segbench.board.site.pages import (
    View,
    decimals,
    full_heading,
    heading,
    render,
    subgroup_cells,
)
from segbench.board.site.scripts import digits_of, number, packed, script
from segbench.board.site.viewer import Viewer, pages_of, viewers
from segbench.board.standings import Standing
from segbench.errors import SegbenchError
from segbench.folders import place_folder
from segbench.measures import Measure
from segbench.scoring.compare import image_values
from segbench.scoring.scores import Score, Table

ASSETS = ("site.css", "theme.js", "site.js", "charts.js", "board.js", "entry.js", "compare.js")
VIEWER_ASSETS = ("viewer.js",)
MARKER = "assets/site.js"
"""A folder that has this is a site of ours and may be replaced."""


def write_site(
    standings: Sequence[Standing],
    published: Sequence[Entry],
    folder: Path,
    *,
    data: Path | None = None,
    results_link: str = "",
) -> None:
    """Write the static page; a page that was there is replaced.

    Args:
        standings: The ranked entries; each is read from the folder that its scores name.
        published: Numbers of papers, shown apart.
        folder: Where to.
        data: Where prepared datasets live. Of those whose licence lets anyone pass pictures on,
            reduced pictures and the contours of all masks are written for the viewer.
        results_link: The path from the page's folder to the results folder (`..`), for links to
            the entries' files; empty: no links.

    Raises:
        SegbenchError: The folder holds anything else, or cannot be written.
    """
    if folder.exists() and not is_site(folder):
        raise SegbenchError(f"{folder}: holds something else than a page that segbench wrote")
    found = boards(standings, published)
    looked_at = viewers(found, data=data, redistributable_only=True) if data else {}

    def fill(made: Path) -> None:
        for path, content in site_files(found, looked_at, results_link=results_link):
            _write(made / path, content)
        for key, viewer in looked_at.items():
            for path, content in pages_of(viewer):
                _write(made / key / path, content)

    place_folder(folder, fill, replace=True)


def is_site(folder: Path) -> bool:
    """Whether a folder is empty or a page that was written here."""
    return folder.is_dir() and (not any(folder.iterdir()) or (folder / MARKER).is_file())


def site_files(
    found: Sequence[Board], looked_at: Mapping[str, Viewer], *, results_link: str = ""
) -> Iterator[tuple[str, bytes]]:
    """Every file of the page but the viewer's pictures and contours, by path."""
    assets = resources.files("segbench.board.site") / "assets"
    for name in (*ASSETS, *VIEWER_ASSETS):
        yield f"assets/{name}", (assets / name).read_bytes()
    views = [View(board=board, viewer=looked_at.get(board.key)) for board in found]
    yield "index.html", _page("index.html.j2", root="", views=views)
    for view in views:
        for path, content in _board_files(view, results_link):
            yield f"{view.board.key}/{path}", content


def _board_files(view: View, results_link: str) -> Iterator[tuple[str, bytes]]:
    board = view.board
    tabs = [
        (column, [(group, subgroup_cells(view, group, _digits(board))) for group in groups])
        for column, groups in (view.subgroups if board.standings else [])
    ]
    yield "index.html", _page("board.html.j2", root="../", view=view, board=board, tabs=tabs)
    if not board.standings:
        return
    yield "compare.html", _page("compare.html.j2", root="../", view=view, board=board)
    if view.viewer is not None:
        yield "viewer.html", _page("viewer.html.j2", root="../", view=view, board=board)
        for name, table in view.viewer.others.items():
            yield f"data/entries/{name}.js", _script(f"entries/{name}", _values(board, table))
    yield "data/board.js", _script("board", _board_data(view))
    yield "data/samples.js", _script("samples", _samples_data(board))
    yield "data/pairs.js", _script("pairs", [_pairs_data(s) for s in board.standings])
    for i, (entry, standing, line) in enumerate(view.entries):
        yield (
            f"entries/{entry.name}.html",
            _page(
                "entry.html.j2",
                root="../../",
                view=view,
                board=board,
                entry=entry,
                standing=standing,
                line=line,
                guest=view.guest(entry),
                stored=standing.scores[entry.name],
                own_groups=[(c, [(g, cells[i]) for g, cells in groups]) for c, groups in tabs],
                files=f"../../{results_link}/{entry.dataset}/{entry.name}" if results_link else "",
            ),
        )
        values = _values(board, standing.scores[entry.name].table)
        yield f"data/entries/{entry.name}.js", _script(f"entries/{entry.name}", values)


def _digits(board: Board) -> int:
    return decimals(board.of_images[0]) if board.of_images else 3


def _board_data(view: View) -> dict[str, object]:
    """What scripts know of a board: its measures, and each entry with scores and cost."""
    board = view.board
    return {
        "title": board.title,
        "file": board.key,
        "viewer": view.viewer is not None,
        "others": sorted(view.viewer.others) if view.viewer else [],
        "columns": [_measure(m) for m in board.columns],
        "images": [{**_measure(m), "digits": digits_of(m)} for m in board.of_images],
        "entries": [
            {
                "name": entry.name,
                "title": entry.method.title,
                "authors": list(entry.authors),
                "status": entry.status,
                "tier": line.place.tier or None,
                "ranks": [number(x) for x in line.place.rank_ci95],
                "first": number(line.place.probabilities[0], 4),
                "scores": [_numbers(score) for score in line.scores],
                "parameters": entry.cost.parameters,
                "flops": entry.cost.flops,
                "ms": next((x.milliseconds for x in entry.cost.latencies), None),
                "device": next((x.device for x in entry.cost.latencies), ""),
                "training_seconds": entry.cost.training_seconds,
            }
            for entry, _, line in view.entries
        ],
    }


def _measure(measure: Measure) -> dict[str, object]:
    return {
        "name": str(measure),
        "title": full_heading(measure),
        "short": heading(measure),
        "over": measure.over,
        "unit": measure.unit,
        "shown": decimals(measure),
        "higher": measure.definition.higher_is_better,
        "best": measure.definition.best,
    }


def _numbers(score: Score) -> list[float | str | None]:
    return [number(x) for x in (score.value, *score.ci95)]


def _samples_data(board: Board) -> dict[str, object]:
    """The samples: ids, groups by number, the labels of each column by number."""
    table = board.first.table
    columns: list[dict[str, object]] = []
    for name, labels in board.subgroups.items():
        values = sorted(set(labels))
        place = {value: i for i, value in enumerate(values)}
        columns.append(
            {"name": name, "values": values, "labels": [place[label] for label in labels]}
        )
    numbers = {group: i for i, group in enumerate(sorted(set(table.groups.tolist())))}
    return {
        "ids": list(board.first.ids),
        "groups": [numbers[group] for group in table.groups.tolist()],
        "unit": table.unit,
        "columns": columns,
    }


def _pairs_data(standing: Standing) -> dict[str, object]:
    """The adjusted p-values of all pairs, upper triangle by rows."""
    ranking = standing.ranking
    pairs = combinations(range(len(ranking.places)), 2)
    return {
        "measure": str(ranking.measure),
        "names": [place.name for place in ranking.places],
        "p": [number(float(f"{ranking.p_holm[i, j]:.4g}"), 9) for i, j in pairs],
    }


def _values(board: Board, table: Table) -> list[list[int | str | None]]:
    """The values of single images, by measure."""
    return [packed(image_values(table, m).tolist(), digits_of(m)) for m in board.of_images]


def _page(template: str, **content: object) -> bytes:
    return render(template, **content).encode("utf-8", "replace")


def _script(key: str, value: object) -> bytes:
    return script(key, value).encode("utf-8", "replace")


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
