"""The leak audit: is the same thing in two splits or two folds?

A model that was trained on another picture of a test lesion has seen the answer. Three things are
looked for: identical pictures, groups on two sides, and pictures of one thing that share no group.

What it can see: textured things photographed again, shifted, turned, scaled by 0.5 to 2, lit
differently, partly out of the frame (`audit_keypoints`); smooth things whose outline is whole in
both pictures (`audit_texture`). Both thresholds were set on PH2: without groups, all pairs
that people had found are reported there, a few more, and none that look like two lesions.

What it cannot see: mirrored copies; smooth things cut by the frame; things that changed their shape
or pattern much; things smaller than about 16 pixels. A clean report does not prove that nothing
leaks, and a reported pair is a pair to look at, not a verdict: least so one that is reported for a
significance near the threshold alone.

Of people it sees clothes and stance. In 108 frames of MADS it reports 62 pairs of different takes:
59 of one activity, most of them one performer in one outfit, and three of people who stand alike.
Takes are kept apart there; performers are not.

Every picture is compared with every other: 200 take a minute on two cores, and the time grows with
the square of their number.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segbench.errors import SegbenchError
from segbench.masks.labels import IGNORE_ID
from segbench.prepare.audit_keypoints import Keypoints, count_inliers, find_keypoints
from segbench.prepare.audit_texture import (
    Appearance,
    correlation,
    find_texture,
    likely_pairs,
    significance,
)

MIN_INLIERS = 6
"""Matching features that one similarity explains: 7 to 63 in PH2's known pairs, at most 4 in all
others."""

MIN_SIGNIFICANCE = 5.25
"""Of the correlation of two textures laid over one another: 5.9 to 15 in pairs of PH2 that look
like one lesion, 4.5 in the next, which does not; 4.8 at most in unrelated noise."""

CANDIDATES_PER_PICTURE = 3
"""Pairs that are laid over one another on the fine scale, for each picture."""

_PICTURES_AT_A_TIME = 16  # per process: what is held in memory
_MATCHED_AT_A_TIME = 256

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Picture:
    """One sample to audit.

    Attributes:
        id: The sample's id.
        split: Its split; empty where it has none.
        fold: Its fold; None where it has none.
        group: Its group; its own id where it stands alone.
        read: Gives the image, HxWx3 uint8.
        mask: Gives the class ids, HxW uint8; the object is all that is neither 0 nor ignored, or
            the whole picture where there is no such pixel.
    """

    id: str
    split: str
    fold: int | None
    group: str
    read: Callable[[], NDArray[np.uint8]]
    mask: Callable[[], NDArray[np.uint8]]


@dataclass(frozen=True, slots=True)
class Identical:
    """Pictures with the same pixels that are not all of one group."""

    ids: tuple[str, ...]
    across_splits: bool
    across_folds: bool


@dataclass(frozen=True, slots=True)
class GroupAcross:
    """A group in two splits or two folds."""

    group: str
    splits: tuple[str, ...]
    folds: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SameThing:
    """Two pictures, of two groups, that seem to show one thing.

    Attributes:
        ids: The two ids.
        across_splits: They are in different splits.
        across_folds: They are in different folds.
        inliers: Matching local features that one similarity explains; from `MIN_INLIERS` up a
            reason to report the pair.
        correlation: Of the two objects laid over one another, -1 to 1; 0 where that was not tried.
        significance: The correlation in standard errors; from `MIN_SIGNIFICANCE` up a reason to
            report the pair, 0 where that was not reached.
    """

    ids: tuple[str, str]
    across_splits: bool
    across_folds: bool
    inliers: int
    correlation: float
    significance: float


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What was found, strongest first, and what was looked at.

    Attributes:
        identical: Identical pictures in different groups.
        groups_across_splits: Groups in two splits or two folds.
        same_thing: Pairs of pictures of one thing in different groups.
        n_pictures: Pictures looked at.
        n_pairs: Pairs of different groups that were compared.
        featureless: Ids of pictures with too little in them to be recognised by.
    """

    identical: tuple[Identical, ...]
    groups_across_splits: tuple[GroupAcross, ...]
    same_thing: tuple[SameThing, ...]
    n_pictures: int
    n_pairs: int
    featureless: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Nothing that was found is in two splits or two folds."""
        found = (*self.identical, *self.same_thing)
        across = any(finding.across_splits or finding.across_folds for finding in found)
        return not across and not self.groups_across_splits


def audit(
    pictures: Sequence[Picture], *, jobs: int | None = None, progress: Progress | None = None
) -> AuditReport:
    """Look for identical pictures, divided groups and pictures of one thing.

    Args:
        pictures: All samples of a dataset, of all splits.
        jobs: Processes that look for features; None for one a core. More than one needs a program
            that can be imported again (`if __name__ == "__main__"` in a script).
        progress: Called with what is being done, how much is done and of how much.

    Returns:
        The same report on every run, whatever the order of the pictures.

    Raises:
        SegbenchError: An image and its mask are not of one size, or an id is there twice.
    """
    tell = progress or (lambda _what, _done, _of: None)
    if len({picture.id for picture in pictures}) < len(pictures):
        raise SegbenchError("an id is there more than once; expected each picture once")
    pictures = sorted(pictures, key=lambda picture: picture.id)
    seen: list[_Seen] = []
    for found in _look_at(pictures, jobs or os.cpu_count() or 1):
        seen.append(found)
        tell("looking for features", len(seen), len(pictures))
    groups = [picture.group for picture in pictures]
    inliers = _by_keypoints([one.keypoints for one in seen], groups, tell)
    overlays = _by_texture([one.appearance for one in seen], groups, tell)
    same_pixels = _alike(one.digest for one in seen)
    pairs = (inliers.keys() | overlays.keys()) - _pairs_within(same_pixels)
    same_thing = [
        SameThing(
            ids=(pictures[i].id, pictures[j].id),
            across_splits=_across_splits([pictures[i], pictures[j]]),
            across_folds=_across_folds([pictures[i], pictures[j]]),
            inliers=count_inliers(seen[j].keypoints, [seen[i].keypoints])[0],
            correlation=overlays.get((i, j), _NO_OVERLAY).correlation,
            significance=overlays.get((i, j), _NO_OVERLAY).significance,
        )
        for i, j in pairs
    ]
    return AuditReport(
        identical=tuple(_identical(pictures, same_pixels)),
        groups_across_splits=tuple(_groups_across(pictures)),
        same_thing=tuple(
            sorted(same_thing, key=lambda pair: (-pair.inliers, -pair.significance, pair.ids))
        ),
        n_pictures=len(pictures),
        n_pairs=sum(a != b for k, a in enumerate(groups) for b in groups[:k]),
        featureless=tuple(
            picture.id
            for picture, one in zip(pictures, seen, strict=True)
            if len(one.keypoints) < MIN_INLIERS and one.appearance is None
        ),
    )


class _Overlay(NamedTuple):
    correlation: float
    significance: float


_NO_OVERLAY = _Overlay(0.0, 0.0)


class _Seen(NamedTuple):
    digest: bytes
    keypoints: Keypoints
    appearance: Appearance | None


def _look_at(pictures: Sequence[Picture], jobs: int) -> Iterator[_Seen]:
    """Features of every picture: read here, described in `jobs` processes."""
    if jobs == 1 or len(pictures) <= _PICTURES_AT_A_TIME:
        for picture in pictures:
            digest, grey, inside = _read(picture)
            yield _Seen(digest, *_describe(grey, inside))
        return
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=spawn) as pool:
        for start in range(0, len(pictures), _PICTURES_AT_A_TIME * jobs):
            read = [_read(picture) for picture in pictures[start:][: _PICTURES_AT_A_TIME * jobs]]
            digests, greys, insides = zip(*read, strict=True)
            for digest, found in zip(digests, pool.map(_describe, greys, insides), strict=True):
                yield _Seen(digest, *found)


def _read(picture: Picture) -> tuple[bytes, NDArray[np.uint8], NDArray[np.bool_]]:
    image, mask = picture.read(), picture.mask()
    if image.shape[:2] != mask.shape:
        raise SegbenchError(
            f"{picture.id}: the image is {image.shape[:2]} and its mask {mask.shape} (height, "
            f"width); expected the same; `segbench check` lists all such samples"
        )
    digest = hashlib.sha256(repr(image.shape).encode() + np.ascontiguousarray(image).data).digest()
    grey = np.asarray(Image.fromarray(image).convert("L"))
    return digest, grey, (mask != 0) & (mask != IGNORE_ID)


def _describe(
    grey: NDArray[np.uint8], inside: NDArray[np.bool_]
) -> tuple[Keypoints, Appearance | None]:
    return find_keypoints(grey, inside), find_texture(grey, inside)


def _by_keypoints(
    found: Sequence[Keypoints], groups: Sequence[str], tell: Progress
) -> dict[tuple[int, int], int]:
    """Pairs with enough matching features."""
    pairs: dict[tuple[int, int], int] = {}
    for i, one in enumerate(found):
        others = [j for j in range(i) if groups[j] != groups[i]]
        for start in range(0, len(others), _MATCHED_AT_A_TIME):
            some = others[start : start + _MATCHED_AT_A_TIME]
            counts = count_inliers(one, [found[j] for j in some])
            pairs |= {
                (j, i): count for j, count in zip(some, counts, strict=True) if count >= MIN_INLIERS
            }
        tell("matching features", i + 1, len(found))
    return pairs


def _by_texture(
    found: Sequence[Appearance | None], groups: Sequence[str], tell: Progress
) -> dict[tuple[int, int], _Overlay]:
    """Pairs that correlate beyond chance when laid over one another."""
    known = [(k, appearance) for k, appearance in enumerate(found) if appearance is not None]
    most = CANDIDATES_PER_PICTURE * len(known)
    tell("laying one over another", 0, most)
    likely = likely_pairs(
        [appearance.coarse for _, appearance in known], [groups[k] for k, _ in known], most=most
    )
    pairs: dict[tuple[int, int], _Overlay] = {}
    for done, (i, j, turn) in enumerate(likely, start=1):
        still, moving = known[i][1].fine, known[j][1].fine
        value = correlation(still, moving, turn)
        if value > 0 and (beyond := significance(value, still, moving)) >= MIN_SIGNIFICANCE:
            pairs[known[i][0], known[j][0]] = _Overlay(value, beyond)
        tell("laying one over another", done, most)
    tell("laying one over another", most, most)
    return pairs


def _alike(digests: Iterable[bytes]) -> list[list[int]]:
    """Indices of equal digests, where there is more than one."""
    places: defaultdict[bytes, list[int]] = defaultdict(list)
    for place, digest in enumerate(digests):
        places[digest].append(place)
    return [same for same in places.values() if len(same) > 1]


def _pairs_within(sets: Iterable[Sequence[int]]) -> set[tuple[int, int]]:
    return {(i, j) for same in sets for i in same for j in same if i < j}


def _identical(pictures: Sequence[Picture], sets: Iterable[Sequence[int]]) -> Iterator[Identical]:
    for same in sets:
        members = [pictures[k] for k in same]
        if len({picture.group for picture in members}) > 1:
            yield Identical(
                ids=tuple(picture.id for picture in members),
                across_splits=_across_splits(members),
                across_folds=_across_folds(members),
            )


def _groups_across(pictures: Sequence[Picture]) -> Iterator[GroupAcross]:
    members: defaultdict[str, list[Picture]] = defaultdict(list)
    for picture in pictures:
        members[picture.group].append(picture)
    for group, of_group in sorted(members.items()):
        if _across_splits(of_group) or _across_folds(of_group):
            folds = {picture.fold for picture in of_group} - {None}
            yield GroupAcross(
                group=group,
                splits=tuple(sorted({picture.split for picture in of_group} - {""})),
                folds=tuple(sorted(fold for fold in folds if fold is not None)),
            )


def _across_splits(pictures: Collection[Picture]) -> bool:
    return len({picture.split for picture in pictures} - {""}) > 1


def _across_folds(pictures: Collection[Picture]) -> bool:
    return len({picture.fold for picture in pictures} - {None}) > 1
