"""`segbench leaderboard`: the entries of a results folder, ranked, with how sure each rank is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segbench.commands.options import Data, Json

app = typer.Typer(invoke_without_command=True, rich_markup_mode=None)

Results = Annotated[
    Path, typer.Option("--results", help="The folder of entries: <dataset>/<entry>/.")
]
Dataset = Annotated[str | None, typer.Option("--dataset", help="Only this dataset's entries.")]
Sort = Annotated[
    str,
    typer.Option(
        "--sort", help="The measure to rank by: hd95, or 'iou|class:lesion|over:dataset'."
    ),
]


@app.callback()
def leaderboard(
    context: typer.Context,
    *,
    dataset: Dataset = None,
    sort: Sort = "dice",
    results: Results = Path("results"),
    json: Json = False,
) -> None:
    """Rank the entries of a results folder, with tiers of those that cannot be told apart."""
    if context.invoked_subcommand is not None:
        _refuse_options_before(context)
        return
    from segbench.board.across import across_datasets  # noqa: PLC0415
    from segbench.board.records import standing_json  # noqa: PLC0415
    from segbench.board.standings import guests, standings  # noqa: PLC0415
    from segbench.commands.board_tables import show_across, show_standing  # noqa: PLC0415
    from segbench.commands.console import say_json  # noqa: PLC0415

    found = standings(results, dataset=dataset, measure=sort)
    if json:
        say_json([standing_json(standing) for standing in found])
        return
    for standing in found:
        show_standing(standing, guests(standing, found))
    for across in across_datasets(found):
        show_across(across)


def _refuse_options_before(context: typer.Context) -> None:
    """Options before the name of a command would be lost."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    given = [name for name, source in sources.items() if source and source.name != "DEFAULT"]
    if given:
        raise typer.BadParameter(
            f"--{given[0]} stands before `{context.invoked_subcommand}`; put it behind"
        )


@app.command("build")
def build(
    *,
    results: Results = Path("results"),
    out: Annotated[
        Path | None, typer.Option("--out", help="Where to build (default: the results folder).")
    ] = None,
    dataset: Dataset = None,
    sort: Sort = "dice",
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            help="Prepared datasets: the page gets the viewer of those with an open licence.",
        ),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; say which files a build would change.")
    ] = False,
) -> None:
    """Write the board: README.md, leaderboard.csv, .json and .tex, plots/ and the page site/."""
    from segbench.board import build as board  # noqa: PLC0415
    from segbench.commands.console import note, say  # noqa: PLC0415

    where = out or results
    if not check:
        built, written = board.build(results, out=out, data=data, dataset=dataset, measure=sort)
        n = sum(len(standing.entries) for standing in built.standings)
        say(f"{where}: {len(written)} files from {n} entries of {len(built.sections)} datasets")
        return
    differing, other_version = board.differences(
        results, out=out, data=data, dataset=dataset, measure=sort
    )
    if other_version:
        note(f"not compared, as another matplotlib drew them: {', '.join(other_version)}")
    for name in differing:
        say(f"{where / name}: differs from what is built")
    if differing:
        note("build again: segbench leaderboard build")
        raise typer.Exit(1)
    say(f"{where}: as built")


@app.command("open")
def open_page(
    *,
    results: Results = Path("results"),
    data: Data = None,
    predictions: Annotated[
        list[str] | None,
        typer.Option(
            "--predictions",
            metavar="NAME=PATH",
            help="Masks that are no entry, to look at beside the entries'. May be repeated.",
        ),
    ] = None,
    port: Annotated[int, typer.Option("--port", help="0: any that is free.", min=0, max=65535)] = 0,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.")
    ] = True,
) -> None:
    """Look at the entries image by image, from your own copy of the data, on this machine alone."""
    import sys  # noqa: PLC0415
    import webbrowser  # noqa: PLC0415

    from segbench.board.site.local import local_page  # noqa: PLC0415
    from segbench.board.site.serve import HOST, server  # noqa: PLC0415
    from segbench.commands.console import note, say  # noqa: PLC0415

    page = local_page(results, data=data, predictions=_named(predictions or []))
    for line in page.notes:
        note(line)
    with server(page.served, port=port) as running:
        url = f"http://{HOST}:{running.server_port}/"
        say(f"{url}  (stop with Ctrl+C)")
        sys.stdout.flush()  # a pipe would hold it back until the end
        if browser:
            webbrowser.open(url)
        try:
            running.serve_forever()
        except KeyboardInterrupt:
            note("stopped")


def _named(given: list[str]) -> dict[str, Path]:
    """`NAME=PATH` options as paths by name."""
    found: dict[str, Path] = {}
    for text in given:
        name, equals, path = text.partition("=")
        if not equals or not name or not path:
            raise typer.BadParameter(f"{text!r}: expected NAME=PATH", param_hint="--predictions")
        if name in found:
            raise typer.BadParameter(f"{name} is given twice", param_hint="--predictions")
        found[name] = Path(path)
    return found
