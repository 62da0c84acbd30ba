"""How files of masks carry the ids of samples: in their names, or in those of their folders."""

from __future__ import annotations

import posixpath
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from segbench.errors import Problems, SegbenchError

_SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class Naming:
    """What is said of the names of files.

    Attributes:
        suffix: What a name carries behind the id (`_pred` in `IMD003_pred.png`).
        ending: Only files with this ending are masks (`.png`).
        ids: A regular expression that is searched for in each path below the folder: the group
            `id`, else the first group, else all of what it matches is the id. Files without a match
            are left out.
        of: Before the names of options in messages: `""`, or `"references-"`.
    """

    suffix: str = ""
    ending: str = ""
    ids: str = ""
    of: str = ""

    def option(self, name: str) -> str:
        """An option of the command line."""
        return f"--{self.of}{name}"

    @property
    def words(self) -> list[str]:
        """What the command line says of it."""
        given = {"suffix": self.suffix, "ending": self.ending, "ids": self.ids}
        return [
            word
            for name, value in given.items()
            if value
            for word in words(self.option(name), value)
        ]


def words(option: str, value: str) -> list[str]:
    """An option with its value, as a shell's words; in one where the value begins with a dash."""
    return [f"{option}={value}"] if value.startswith("-") else [option, value]


@dataclass(frozen=True)
class Members:
    """The file of each sample, by id, and what to say of how they were found."""

    of_id: Mapping[str, str]
    notes: tuple[str, ...] = ()
    left_out: frozenset[str] = frozenset()


def members_of(origin: str, masks: Sequence[str], naming: Naming) -> Members:
    """Find the sample of each mask file by its name.

    Args:
        origin: Where the files are, for messages.
        masks: Their paths below it, with slashes.
        naming: What is said of their names.

    Raises:
        SegbenchError: Two files are of one sample, lack the suffix, or lie in several folders so
            that it is not known which are meant.
    """
    if naming.ids:
        return _by_pattern(origin, masks, naming)
    folders: defaultdict[str, list[str]] = defaultdict(list)
    for name in masks:
        folders[posixpath.dirname(name)].append(name)
    if len(folders) > 1:
        return _in_folders(origin, folders, naming)
    without = [name for name in masks if not _stem(name).endswith(naming.suffix)]
    problems = Problems()
    for name in without:
        problems.add(
            f"name without the suffix {naming.suffix!r}",
            posixpath.basename(name),
            hint="expected <id><suffix>.png",
        )
    problems.raise_if_any(f"{origin}: the masks were not read")
    return _unique(origin, masks, lambda n: _stem(n).removesuffix(naming.suffix), naming)


def _by_pattern(origin: str, masks: Sequence[str], naming: Naming) -> Members:
    option = naming.option("ids")
    try:
        pattern = re.compile(naming.ids)
    except re.error as error:
        raise SegbenchError(f"{option} {naming.ids}: not a regular expression ({error})") from error

    def id_of(name: str) -> str:
        match = pattern.search(name)
        if match is None:
            return ""
        return (match["id"] if "id" in pattern.groupindex else match[min(pattern.groups, 1)]) or ""

    matching = [name for name in masks if id_of(name)]
    if not matching:
        raise SegbenchError(
            f"{origin}: {option} {naming.ids} matches none of {len(masks)} masks: "
            f"{_some(masks)}; it is searched for in the path below the folder"
        )
    return _and_left_out(_unique(origin, matching, id_of, naming), masks, f"match {option}")


def _in_folders(origin: str, folders: Mapping[str, Sequence[str]], naming: Naming) -> Members:
    """One folder a sample: the id is the file's name, or the folder's where all names are equal."""
    masks = sorted(name for names in folders.values() for name in names)
    ending_in = [name for name in masks if _stem(name).endswith(naming.suffix)]
    if len({posixpath.dirname(name) for name in ending_in}) != len(ending_in) or not ending_in:
        shown = ", ".join(sorted(name or "." for name in folders)[:_SHOWN])
        raise SegbenchError(
            f"{origin}: masks in {len(folders)} folders ({shown}"
            f"{', ...' * (len(folders) > _SHOWN)}); expected one folder with one mask per sample: "
            f"name that folder, or say which files are meant, with {naming.option('suffix')} "
            f"(as _mask) or {naming.option('ids')} (a regular expression on the path, as "
            f"'([^/]+)/mask.png')"
        )
    stems = {_stem(name).removesuffix(naming.suffix) for name in ending_in}
    if len(stems) == 1:
        above = posixpath.commonpath([posixpath.dirname(name) for name in ending_in])
        skipped = len(above) + 1 if above else 0
        found = _unique(origin, ending_in, lambda n: n[skipped:].partition("/")[0], naming)
        whence = "the folder's name"
    else:
        found = _unique(origin, ending_in, lambda n: _stem(n).removesuffix(naming.suffix), naming)
        whence = "the file's name"
    note = f"one folder a sample, in {len(ending_in)} folders: {whence} is the id"
    noted = Members(found.of_id, (*found.notes, note))
    return _and_left_out(noted, masks, f"end in {naming.suffix!r}")


def _and_left_out(found: Members, masks: Collection[str], why_not: str) -> Members:
    """With a note of the masks that are not among them."""
    left_out = sorted(set(masks) - set(found.of_id.values()))
    if not left_out:
        return found
    note = f"left out {len(left_out)} masks that do not {why_not}: {_some(left_out)}"
    return Members(found.of_id, (*found.notes, note), frozenset(left_out))


def _unique(
    origin: str, masks: Sequence[str], id_of: Callable[[str], str], naming: Naming
) -> Members:
    of_id: dict[str, str] = {}
    problems = Problems()
    n_composed = 0
    for name in masks:
        stored = id_of(name)
        identifier = unicodedata.normalize("NFC", stored)  # macOS stores letters and accents apart
        n_composed += identifier != stored
        if identifier in of_id:
            first, second = (posixpath.basename(n) for n in (of_id[identifier], name))
            if first == second:
                first, second = of_id[identifier], name
            problems.add(
                "duplicate id",
                f"{identifier} in {first} and {second}",
                hint=f"keep one, or say which is meant with {naming.option('ending')} .png",
            )
        of_id[identifier] = name
    problems.raise_if_any(f"{origin}: the masks were not read")
    note = f"{n_composed} names hold letters and accents apart (NFD); ids are read with both in one"
    return Members(of_id, (note,) if n_composed else ())


def _stem(name: str) -> str:
    return posixpath.splitext(posixpath.basename(name))[0]


def _some(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
