"""`segbench`: the table of commands, and how errors reach a person.

Exit codes: 0 done, 1 the input was refused, 2 the command line was wrong, 3 a fault of segbench.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from segbench._version import __version__
from segbench.commands import (
    audit,
    check,
    compare,
    datasets,
    demo,
    dialects,
    evaluate,
    leaderboard,
    lint_claims,
    measures,
    new_dataset,
    predict,
    prepare,
    rescore,
    submit,
    threshold,
    train,
    verify,
)
from segbench.commands.console import note, speak_any_text
from segbench.commands.memory import keep_freed_memory
from segbench.errors import SegbenchError

TRACEBACK = "SEGBENCH_TRACEBACK"
"""The variable by which an unforeseen exception keeps its traceback: for tests and debuggers."""

app = typer.Typer(
    name="segbench",
    help="Datasets, baselines, exact scores and an honest leaderboard for image segmentation.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: rich alone would double the time of --help
    add_completion=False,
)

app.command("prepare")(prepare.prepare)
app.command("train")(train.train)
app.command("predict")(predict.predict)
app.command("evaluate")(evaluate.evaluate)
app.command("threshold")(threshold.threshold)
app.command("compare")(compare.compare)
app.add_typer(leaderboard.app, name="leaderboard")
app.command("submit")(submit.submit)
app.command("verify")(verify.verify)
app.command("rescore")(rescore.rescore)
app.command("demo")(demo.demo)
app.add_typer(datasets.app, name="datasets")
app.command("check")(check.check)
app.command("audit")(audit.audit)
app.command("new-dataset")(new_dataset.new_dataset)
app.command("measures")(measures.measures)
app.command("dialects")(dialects.dialects)
app.command("lint-claims")(lint_claims.lint_claims)


def _version(*, asked: bool) -> None:
    if asked:
        print(f"segbench {__version__}")  # noqa: T201  what the option is for
        raise typer.Exit


@app.callback()
def _options(
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line; a refusal is printed without a traceback, and so is a fault of ours.

    Raises:
        Exception: What nobody foresaw, where the variable SEGBENCH_TRACEBACK is 1.
    """
    speak_any_text()
    keep_freed_memory()
    try:
        app()
    except SegbenchError as error:
        note(f"error: {error}")
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted; nothing half-made was left", file=sys.stderr)  # noqa: T201
        sys.exit(130)
    except BrokenPipeError:  # `segbench datasets | head`
        sys.stderr.close()
        sys.exit(0)
    except Exception as error:
        if os.environ.get(TRACEBACK, "0") not in {"", "0"}:
            raise
        from segbench.commands.fault import tell_fault  # noqa: PLC0415

        tell_fault(error)
        sys.exit(3)
