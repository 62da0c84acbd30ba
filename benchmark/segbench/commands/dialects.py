"""`segbench dialects`: what other tools print on the same masks, beside our own numbers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segbench.commands.input_options import (
    Background,
    Classes,
    Ending,
    FoundDataset,
    Ids,
    References255,
    ReferencesEnding,
    ReferencesForm,
    ReferencesIds,
    ReferencesMap,
    ReferencesSuffix,
    Suffix,
    class_names,
    reference_policy,
)
from segbench.commands.measure_options import spacing_of
from segbench.commands.options import Data, Fold, Jobs, Json, Split, n_jobs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from segbench.dialects import Dialect, Ruler
    from segbench.masks.places import Place
    from segbench.masks.submission import Submission
    from segbench.scoring.references import ReferencePolicy
    from segbench.scoring.tally import Policy


def dialects(
    *,
    predictions: Annotated[
        Path | None,
        typer.Option("--predictions", help="A folder or archive of masks; without: list them."),
    ] = None,
    dialect: Annotated[
        list[str] | None, typer.Option("--dialect", help="Only this one (repeat).")
    ] = None,
    dataset: FoundDataset = None,
    split: Split = "test",
    fold: Fold = None,
    data: Data = None,
    references: Annotated[
        Path | None, typer.Option("--references", help="Reference masks, where there is no card.")
    ] = None,
    classes: Classes = "",
    references_suffix: ReferencesSuffix = "",
    references_ending: ReferencesEnding = "",
    references_ids: ReferencesIds = "",
    references_form: ReferencesForm = None,
    references_map: ReferencesMap = "",
    references_255: References255 = None,
    background: Background = None,
    suffix: Suffix = "",
    ending: Ending = "",
    ids: Ids = "",
    spacing_mm: Annotated[
        str, typer.Option("--spacing-mm", help="Distance of rows and of columns, as 0.5,0.25.")
    ] = "",
    tolerance: Annotated[
        float, typer.Option("--tolerance", help="Of surface Dice, in pixels or mm.", min=0)
    ] = 2.0,
    jobs: Jobs = None,
    json: Json = False,
) -> None:
    """List the dialects, or print predictions' numbers in all of them, and why they differ."""
    from segbench.commands.console import say_json, show  # noqa: PLC0415
    from segbench.commands.dialect_tables import dialects_list  # noqa: PLC0415
    from segbench.dialects import DIALECTS, Ruler, dialect_of  # noqa: PLC0415
    from segbench.masks.submission import open_submission  # noqa: PLC0415
    from segbench.scoring.tally import Policy  # noqa: PLC0415

    of_references = reference_policy(
        str(references) if references else None,
        suffix=references_suffix,
        ending=references_ending,
        ids=references_ids,
        form=references_form,
        values=references_map,
        means_255=references_255,
        background=background,
    )
    chosen = [dialect_of(name) for name in dialect or DIALECTS]
    if predictions is None:
        if json:
            say_json([dialect_json(d) for d in chosen])
        else:
            show(dialects_list(chosen))
        return
    speak(
        chosen,
        open_submission(predictions, suffix=suffix, ending=ending, ids=ids),
        dataset=dataset,
        split=split,
        fold=fold,
        data=data,
        references=references,
        classes=classes,
        of_references=of_references,
        policy=Policy(),
        ruler=Ruler(spacing_of(spacing_mm), tolerance),
        jobs=n_jobs(jobs),
        json=json,
    )


def dialect_json(dialect: Dialect) -> dict[str, Any]:
    """A dialect without values."""
    names = ("name", "title", "version", "url", "about", "precision")
    numbers = [
        {"number": n.name, "ours": list(n.ours), "why": n.why or None, "wrong": n.wrong or None}
        for n in dialect.numbers
    ]
    return {name: getattr(dialect, name) for name in names} | {"numbers": numbers}


def speak(
    chosen: Sequence[Dialect],
    submission: Submission,
    *,
    dataset: str | None,
    split: str,
    fold: int | None,
    data: Place | None,
    references: Place | None,
    classes: str,
    of_references: ReferencePolicy,
    policy: Policy,
    ruler: Ruler,
    jobs: int,
    json: bool,
) -> None:
    """Print a submission's numbers in some dialects.

    Raises:
        SegbenchError: The input is refused, or none of the dialects has a number for these classes.
    """
    from segbench.commands.console import note, progress_bar, say_json  # noqa: PLC0415
    from segbench.commands.dialect_tables import show_dialects  # noqa: PLC0415
    from segbench.dialects import converse, said_json  # noqa: PLC0415
    from segbench.errors import SegbenchError  # noqa: PLC0415
    from segbench.masks.prepared import data_place, open_prepared  # noqa: PLC0415
    from segbench.scoring.references import reference_target  # noqa: PLC0415
    from segbench.scoring.target import find_prepared, prepared_target  # noqa: PLC0415

    if references is not None:
        target = reference_target(
            references, class_names=class_names(classes), policy=of_references, jobs=jobs
        )
    else:
        where = data_place(data)
        found = open_prepared(dataset, data=where) if dataset else find_prepared(submission, where)
        target = prepared_target(found, split=split, fold=fold)
    with progress_bar() as update:
        conversation = converse(
            target,
            submission,
            chosen,
            policy=policy,
            ruler=ruler,
            jobs=jobs,
            progress=lambda done, of: update("scoring", done, of),
        )
    silent = [d.name for d in chosen if not said_json(conversation, d)["numbers"]]
    if len(silent) == len(chosen):
        raise SegbenchError(
            f"{', '.join(silent)} scores one object against a background; {target.name} has "
            f"{len(target.classes)} classes: {', '.join(conversation.observed.class_names)}"
        )
    for line in (*target.notes, *submission.notes):
        note(f"note: {line}")
    if conversation.observed.ignores:
        unknowing = [d.name for d in chosen if d.every_pixel]
        if unknowing:
            note(
                "note: the reference ignores pixels; these tools know nothing of that and count "
                f"what is predicted there as false alarms: {', '.join(unknowing)}"
            )
    if json:
        say_json(
            {
                "dataset": target.name,
                "version": target.version,
                "selection": target.selection,
                "n_samples": conversation.observed.n_images,
                "notes": [*target.notes, *submission.notes],
                "dialects": [said_json(conversation, d) for d in chosen],
            }
        )
    else:
        show_dialects(conversation, [d for d in chosen if d.name not in silent])
