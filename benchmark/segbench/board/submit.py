"""From predictions to an entry: scored, described, refused where it is impossible, and placed."""

from __future__ import annotations

import datetime as dt
import os
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from segbench._version import __version__
from segbench.board.entry import ENTRY, PREDICTIONS, Digests, Entry, find_twin, read_entry
from segbench.board.method import MethodFile
from segbench.board.write import (
    coco_json,
    every_mask,
    fill_entry,
    predictions_digest,
    refuse_foreign,
)
from segbench.catalog.strict import validate
from segbench.errors import SegbenchError
from segbench.folders import place_folder
from segbench.masks.forms import FORM_FLAGS, Form
from segbench.masks.prepared import data_folder, open_prepared
from segbench.masks.submission import open_submission
from segbench.masks.tables import read_table
from segbench.masks.value_map import map_text
from segbench.measures import Options
from segbench.scoring.evaluate import Evaluation, score_target
from segbench.scoring.tally import Policy, Progress, Tally, tally
from segbench.scoring.target import Target, prepared_target

MAX_VALUES = 12
"""A column of the dataset with 2 to 12 values makes subgroups."""


@dataclass(frozen=True, kw_only=True)
class Draft:
    """An entry that is not written yet.

    Attributes:
        entry: What entry.json will say.
        evaluation: Of the entry's own masks.
        predictions: predictions.json.
        folder: Where it belongs.
        notes: How the predictions were read, and what a person should know of it.
    """

    entry: Entry
    evaluation: Evaluation
    predictions: str
    folder: Path
    notes: tuple[str, ...]


def draft_entry(
    predictions: Path,
    method: MethodFile,
    *,
    name: str,
    dataset: str,
    results: Path,
    replace: bool = False,
    fold: int | None = None,
    data: Path | None = None,
    by: Sequence[str] | None = None,
    policy: Policy | None = None,
    suffix: str = "",
    ending: str = "",
    ids: str = "",
    jobs: int = 1,
    progress: Progress = lambda _done, _of: None,
) -> Draft:
    """Score predictions and say what their entry would hold; nothing is written.

    The masks are read as the policy says and packed; what is scored is the packed masks, at the
    samples' own sizes. So anyone who scores the entry again finds the same.

    Args:
        predictions: A folder, archive or table of run lengths; links are refused.
        method: What was done.
        name: Of the entry and its folder.
        dataset: A prepared dataset.
        results: The folder of entries.
        replace: An entry of that name is no reason to refuse.
        fold: The fold that was tested, in place of the test split.
        data: Where prepared datasets live.
        by: Columns for subgroups; by default those with 2 to 12 values.
        policy: What is accepted that is refused by default; a missing prediction never is.
        suffix: What the predictions' file names carry behind the id.
        ending: Only files with this ending are predictions.
        ids: A regular expression that finds the id in a file's path; see `Naming`.
        jobs: Threads.
        progress: Told of each sample scored, and of how many.

    Raises:
        SegbenchError: Predictions or name are refused, or the same masks are an entry already.
    """
    policy = policy or Policy()
    refuse_taken(results / dataset / name, replace=replace)  # before the work, not after it
    if policy.missing != "error":
        raise SegbenchError("an entry has a prediction for every sample; --missing is no option")
    prepared = open_prepared(dataset, data=data_folder(data))
    target = prepared_target(prepared, split="test", fold=fold)
    submission = open_submission(
        predictions, suffix=suffix, ending=ending, ids=ids, links=False, table=policy.table
    )
    counted = tally(target, submission, policy=policy, jobs=jobs, progress=lambda _done, _of: None)
    mask = every_mask(target, submission, counted.reading, policy=policy)
    text = coco_json(((item.id, mask(item.id)) for item in target.items), target.classes)
    digest = predictions_digest((item.id, mask(item.id)) for item in target.items)
    handled = _handling(counted, policy)
    entry = validate(
        {
            "name": name,
            "status": "reported",
            "authors": method.authors,
            "date": dt.datetime.now(tz=dt.UTC).date(),
            "dataset": prepared.name,
            "dataset_version": prepared.version,
            "split": "test" if fold is None else None,
            "fold": fold,
            "method": method.method.model_copy(
                update={"commands": (*method.method.commands, *handled)}
            ),
            "training": method.training,
            "cost": method.cost,
            "digests": Digests(
                data=counted.digest, predictions=digest, weights=method.weights_sha256
            ),
            "segbench_version": __version__,
            "licence": method.licence,
            "links": method.links,
        },
        Entry,
        where=results / dataset / name / ENTRY,
    )
    refuse_twin(results, entry)
    own = read_table(text.encode(), PREDICTIONS, origin=PREDICTIONS)
    evaluation = score_target(
        target,
        own,
        policy=Policy(),
        options=Options(),
        by=subgroup_columns(target) if by is None else by,
        jobs=jobs,
        progress=progress,
    )
    return Draft(
        entry=entry,
        evaluation=evaluation,
        predictions=text,
        folder=results / entry.dataset / entry.name,
        notes=(
            f"read as {counted.reading.form}",
            *submission.notes,
            *counted.notes,
            *(f"the entry holds the masks after `{step}`" for step in handled),
        ),
    )


def write_draft(draft: Draft, *, replace: bool = False) -> None:
    """Write an entry's folder, whole or not at all.

    Args:
        draft: The entry.
        replace: Take the place of the entry of that name.

    Raises:
        SegbenchError: There is an entry of that name or with these masks, or the folder cannot be
            written; nothing is left then.
    """

    def fill(made: Path) -> None:
        fill_entry(made, draft.entry, draft.evaluation, draft.predictions)

    place_entry(draft.folder, draft.entry, fill, replace=replace)


def place_entry(
    folder: Path, entry: Entry, fill: Callable[[Path], None], *, replace: bool = False
) -> None:
    """Make an entry's folder while others may do the same.

    Of two submissions of one name at the same moment the first is kept and the other refused, and
    so it is with the same masks under two names.

    Args:
        folder: `results/<dataset>/<entry>`.
        entry: What it will be.
        fill: Writes the files.
        replace: Take the place of the entry of that name.

    Raises:
        SegbenchError: As `write_draft`.
    """
    refuse_taken(folder, replace=replace)
    results = folder.absolute().parents[1]
    place_folder(folder, fill, check=lambda: refuse_twin(results, entry), replace=replace)


def refuse_taken(folder: Path, *, replace: bool) -> None:
    """Refuse the place of another entry, or of anything else.

    Args:
        folder: Where an entry is to be written.
        replace: It may take the place of a sound entry of the same name.

    Raises:
        SegbenchError: It is taken.
    """
    if not os.path.lexists(folder):
        return
    if not replace:
        raise SegbenchError(f"{folder}: exists; choose another name, or take its place: --replace")
    read_entry(folder)
    refuse_foreign(folder)


def refuse_twin(results: Path, entry: Entry) -> None:
    """Refuse masks that are another entry's, of whatever version of dataset and segbench.

    Raises:
        SegbenchError: They are; names the entry.
    """
    if (twin := find_twin(results, entry)) is not None:
        folder, other = twin
        raise SegbenchError(
            f"the same masks are the entry {folder} ({other.method.title}, by "
            f"{', '.join(other.authors)}, {other.date}); an entry is made of masks of its own"
        )


def subgroup_columns(target: Target) -> tuple[str, ...]:
    """The dataset's own columns that have 2 to 12 values in the samples of a target."""
    given = {"split", "fold", "group", "width", "height"}
    names = dict.fromkeys(key for item in target.items for key in item.columns)
    values = {
        name: {str(item.columns.get(name, "")) for item in target.items}
        for name in names
        if name not in given
    }
    return tuple(name for name, found in values.items() if 1 < len(found) <= MAX_VALUES)


def _handling(counted: Tally, policy: Policy) -> tuple[str, ...]:
    """The options of the reading that changed masks, as a command's line."""
    options: list[str] = []
    if counted.n_resized:
        options.append("--resize nearest")
    if counted.reading.form is Form.PROBABILITIES and policy.threshold != Policy.threshold:
        options.append(f"--threshold {policy.threshold:g}")
    if policy.map:
        options.append(f"--map {shlex.quote(map_text(policy.map))}")
    if policy.min_score is not None:
        options.append(f"--min-score {policy.min_score:g}")
    if policy.form is not None:
        flag = next(flag for flag, form in FORM_FLAGS.items() if form is policy.form)
        options.append(f"--form {flag}")
    return (f"segbench submit {' '.join(options)}",) if options else ()
