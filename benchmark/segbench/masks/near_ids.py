"""What may be the matter where the names of files do not fit the ids of samples."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence

from segbench.masks.naming import words

_LOOKED_AT = 200
_LONGEST = 255  # characters of an id; a stranger's table may hold "ids" of a megabyte
_NUMBER = re.compile(r"[0-9]+")


def naming_advice(found: Sequence[str], wanted: Collection[str], *, bare: bool = False) -> str:
    """How names that fit no id could be made to; empty where nothing is seen.

    Args:
        found: Ids as they were read from names, of which no sample is known.
        wanted: The ids of samples for which there is no file.
        bare: The samples are bare references, whose names can be read differently too.
    """
    few, ids = found[:_LOOKED_AT], set(wanted)
    for one, other, option in ((few, ids, "--suffix"), (sorted(ids), set(found), _REFERENCES)):
        if option == _REFERENCES and not bare:
            continue
        if end := _most(name[len(part) :] for name in one if (part := _start_in(name, other))):
            return f"do you mean {' '.join(words(option, end))} ?"
    if start := _most(name[: -len(part)] for name in few if (part := _end_in(name, ids))):
        return f"do you mean --ids '{re.escape(start)}(.*)[.]' ?"
    for alike, what in _ALIKE:
        keys = {alike(identifier): identifier for identifier in ids}
        if pair := next(((name, keys[alike(name)]) for name in few if alike(name) in keys), None):
            return f"{pair[0]} and {pair[1]} differ in {what}: rename the files"
    patterns = {_NUMBER.sub("#", name) for name in found}
    if len(patterns) == 1 and "#" in min(patterns) and ids and len(found) > 1:
        return (
            f"the files seem to be numbered and not named by ids ({few[0]}): name each by its "
            f"sample's id, as {min(ids)}"
        )
    return ""


_REFERENCES = "--references-suffix"

_ALIKE: tuple[tuple[Callable[[str], str], str], ...] = (
    (str.casefold, "upper and lower case"),
    (lambda name: _NUMBER.sub(lambda m: m[0].lstrip("0") or "0", name), "leading zeros"),
)


def _start_in(name: str, ids: Collection[str]) -> str:
    """The longest proper start of a name that is an id."""
    return next(
        (name[:end] for end in range(min(len(name) - 1, _LONGEST), 0, -1) if name[:end] in ids), ""
    )


def _end_in(name: str, ids: Collection[str]) -> str:
    """The longest proper end of a name that is an id."""
    return next(
        (
            name[start:]
            for start in range(max(1, len(name) - _LONGEST), len(name))
            if name[start:] in ids
        ),
        "",
    )


def _most(parts: Iterable[str]) -> str:
    """The part that occurs most often; empty where there is none."""
    counted = Counter(parts)
    return counted.most_common(1)[0][0] if counted else ""
