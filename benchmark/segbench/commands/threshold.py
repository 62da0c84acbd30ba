"""`segbench threshold`: the best cut of probabilities, chosen on a split that is not tested."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segbench.commands.input_options import Ending, FoundDataset, Ids, Suffix
from segbench.commands.options import Data, Fold, Jobs, Json, n_jobs

if TYPE_CHECKING:
    from segbench.scoring.evaluate import Evaluation
    from segbench.scoring.threshold import Chosen


class OverFlag(StrEnum):
    """What `--over` may say."""

    IMAGES = "images"
    DATASET = "dataset"


class ProbabilitiesFlag(StrEnum):
    """What `--form` may say here."""

    PROBABILITIES = "probabilities"


def threshold(
    predictions: Annotated[
        Path, typer.Option("--predictions", help="Probability maps of the validation split.")
    ],
    *,
    dataset: FoundDataset = None,
    split: Annotated[str, typer.Option("--split", help="val or train; never test.")] = "val",
    fold: Fold = None,
    measure: Annotated[
        str, typer.Option("--measure", help="What shall be best: dice, iou, mcc, ...")
    ] = "dice",
    over: Annotated[
        OverFlag, typer.Option("--over", help="Its mean over images, or pooled.")
    ] = OverFlag.IMAGES,
    steps: Annotated[
        int, typer.Option("--steps", help="Thresholds k / steps are tried.", min=2, max=1000)
    ] = 100,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write it there, for evaluate --threshold.")
    ] = None,
    data: Data = None,
    form: Annotated[
        ProbabilitiesFlag | None,
        typer.Option("--form", help="probabilities: read grey pictures as such (white is 1)."),
    ] = None,
    suffix: Suffix = "",
    ending: Ending = "",
    ids: Ids = "",
    jobs: Jobs = None,
    json: Json = False,
) -> None:
    """Choose the threshold of foreground probabilities on the validation split."""
    from segbench.commands.console import progress_bar, say, say_json  # noqa: PLC0415
    from segbench.masks.forms import FORM_FLAGS  # noqa: PLC0415
    from segbench.masks.prepared import data_folder, open_prepared  # noqa: PLC0415
    from segbench.masks.submission import open_submission  # noqa: PLC0415
    from segbench.scoring.tally import Policy  # noqa: PLC0415
    from segbench.scoring.target import find_prepared, prepared_target  # noqa: PLC0415
    from segbench.scoring.threshold import (  # noqa: PLC0415
        choose,
        refuse_foreign_threshold,
        write_chosen,
    )

    if out is not None:
        refuse_foreign_threshold(out)
    submission = open_submission(predictions, suffix=suffix, ending=ending, ids=ids)
    where = data_folder(data)
    prepared = open_prepared(dataset, data=where) if dataset else find_prepared(submission, where)
    target = prepared_target(prepared, split=split, fold=fold)
    with progress_bar() as update:
        chosen = choose(
            target,
            submission,
            key=measure,
            over=over.value,
            steps=steps,
            policy=Policy(form=FORM_FLAGS[form] if form else None),
            jobs=n_jobs(jobs),
            progress=lambda done, of: update("reading", done, of),
        )
    if out is not None:
        write_chosen(chosen, out)
    if json:
        say_json(chosen.model_dump(mode="json"))
        return
    say(_told(chosen))
    if out is not None:
        say(f"written to {out}; next: segbench evaluate --predictions TEST --threshold {out}")
    else:
        say("to apply it to another split: --out threshold.json")


def _told(chosen: Chosen) -> str:
    ends = "" if chosen.ci95 is None else " [{:g}, {:g}]".format(*chosen.ci95)
    half = "" if chosen.value_at_half is None else f"; at 0.5: {chosen.value_at_half:.4f}"
    return (
        f"{chosen.where}, {len(chosen.samples)} images in {chosen.n_groups} groups\n"
        f"best threshold {chosen.threshold:g}{ends}: {chosen.measure} {chosen.value:.4f}{half}"
    )


def cut_of(text: str) -> tuple[float, Chosen | None]:
    """What `--threshold` says: a number from 0 to 1, or a file that `segbench threshold` wrote.

    Raises:
        SegbenchError: It is a file of something else.
    """
    from segbench.scoring.threshold import read_chosen  # noqa: PLC0415

    try:
        number = float(text)
    except ValueError:
        chosen = read_chosen(Path(text))
        return chosen.threshold, chosen
    if not 0 <= number <= 1:
        raise typer.BadParameter(f"--threshold {text}: expected a number from 0 to 1, or a file")
    return number, None


def check_applied(chosen: Chosen, result: Evaluation) -> None:
    """Refuse a threshold chosen on samples that were scored, or given for masks.

    Raises:
        SegbenchError: It was.
    """
    from segbench.errors import SegbenchError  # noqa: PLC0415
    from segbench.masks.forms import Form  # noqa: PLC0415
    from segbench.scoring.threshold import check_unseen  # noqa: PLC0415

    check_unseen(chosen, result.target)
    if result.reading.form is not Form.PROBABILITIES:
        raise SegbenchError(
            f"{result.origin}: the predictions are masks (read as {result.form}), which no "
            f"threshold cuts; give probabilities, or leave out --threshold"
        )
