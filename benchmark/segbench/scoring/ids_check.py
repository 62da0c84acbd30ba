"""Whether predictions are of the samples that are to be scored, and what to do where not."""

from __future__ import annotations

from typing import Literal

from segbench.errors import Problems, SegbenchError
from segbench.masks.near_ids import naming_advice
from segbench.masks.submission import Submission
from segbench.scoring.target import Target


def check_ids(
    target: Target,
    submission: Submission,
    *,
    missing: Literal["error", "worst"],
    extra: Literal["error", "ignore"],
    problems: Problems,
) -> None:
    """Note samples without a prediction, and predictions of no sample, where they are refused.

    Raises:
        SegbenchError: There is not one sample with a prediction.
    """
    wanted = [item.id for item in target.items]
    predicted = submission.ids
    absent = [identifier for identifier in wanted if identifier not in predicted]
    others = sorted(predicted - set(wanted))
    bare = not target.own_colours
    advice = naming_advice(others, absent, bare=bare) if others and absent else ""
    if len(absent) == len(wanted):
        raise SegbenchError(
            f"{submission.origin}: no prediction for any of the {len(wanted)} samples of "
            f"{target.name} {target.selection}; found {', '.join(others[:3])}, expected "
            f"{', '.join(wanted[:3])}" + (f"; {advice}" if advice else "")
        )
    if missing == "error":
        for identifier in absent:
            problems.add(
                f"missing predictions, of {len(wanted)} samples",
                identifier,
                hint="predict them too; with `segbench evaluate --missing worst` each scores the "
                "worst value",
            )
    if extra == "error":
        for identifier in others:
            problems.add(
                f"ids that {target.name} {target.selection} does not have",
                identifier,
                hint=(advice and f"{advice} or ") + "is it the right split? leave them out with "
                "--extra ignore",
            )
