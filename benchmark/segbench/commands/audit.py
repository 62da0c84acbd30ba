"""`segbench audit NAME`: is the same thing in two splits or two folds?"""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from segbench.commands.options import Data, Jobs, n_jobs


def audit(
    name: Annotated[str, typer.Argument(help="A prepared dataset.")],
    *,
    data: Data = None,
    ungrouped: Annotated[
        bool, typer.Option("--ungrouped", help="Forget the groups: look at every pair.")
    ] = False,
    jobs: Jobs = None,
) -> None:
    """Look for leaks: one picture, thing or group in two splits or folds (exit code 1 if any)."""
    from segbench.commands.console import progress_bar, say  # noqa: PLC0415
    from segbench.masks.prepared import open_prepared  # noqa: PLC0415
    from segbench.prepare.audit import Picture, SameThing, audit  # noqa: PLC0415

    dataset = open_prepared(name, data=data)
    pictures = [
        Picture(
            id=row.id,
            split=row.split,
            fold=row.fold,
            group=row.id if ungrouped else row.group,
            read=partial(dataset.read_image, row),
            mask=partial(dataset.read_mask, row),
        )
        for row in dataset.rows
    ]
    with progress_bar() as update:
        report = audit(pictures, jobs=n_jobs(jobs), progress=update)
    say(f"{name}: {report.n_pictures} pictures, {report.n_pairs} pairs of different groups")

    def where(found: SameThing) -> str:
        places = ["splits"] * found.across_splits + ["folds"] * found.across_folds
        return f"in two {' and '.join(places)}" if places else "in one split and fold"

    for divided in report.groups_across_splits:
        places = ", ".join([*divided.splits, *(f"fold {fold}" for fold in divided.folds)])
        say(f"group {divided.group} is in {places}")
    for same in report.identical:
        say(f"identical pictures: {', '.join(same.ids)}")
    for pair in report.same_thing:
        strength = (
            f"{pair.inliers} matching features, correlation {pair.correlation:.2f} or "
            f"{pair.significance:.0f} standard errors"
        )
        say(f"same thing? {' and '.join(pair.ids)}, {where(pair)} ({strength})")
    if report.featureless:
        shown = ", ".join(report.featureless[:5])
        say(f"too smooth to be recognised: {len(report.featureless)} ({shown})")
    if report.ok:
        say("nothing found in two splits or folds (which does not prove that nothing is there)")
        return
    say("look at the pairs; what shows one thing gets one group in splits.csv")
    raise typer.Exit(1)
