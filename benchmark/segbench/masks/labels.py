"""What a label map may hold: class ids and their names, the ignore id, sample identifiers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

IGNORE_ID = 255
"""Reference pixels of this value take no part in any score."""

ID_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
CLASS_NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]*")

RESERVED_CLASS_NAMES = frozenset({"all", "foreground"})
"""Names of averages in a score's signature (`class:all`); a class cannot carry them."""

Rgb = tuple[int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelClass:
    """One class of a label map: its id (the pixel value, 0..254), name and RGB colour.

    `background` says that class 0 is no object, though it is called otherwise.
    """

    id: int
    name: str
    color: Rgb
    background: bool = False


BACKGROUND = "background"
"""What class 0, and no other, may be called: it is no object then, whatever else is said."""


def class_name_problem(class_id: int, name: str) -> str:
    """Why a class cannot be called so; empty where it can."""
    if not CLASS_NAME_PATTERN.fullmatch(name):
        return f"a class name is of the form {CLASS_NAME_PATTERN.pattern}"
    if name in RESERVED_CLASS_NAMES:
        return "'all' and 'foreground' name averages in signatures; choose another"
    if name == BACKGROUND and class_id:
        return f"only class 0 may be called {BACKGROUND!r}; it is no object"
    return ""


def foreground(classes: Sequence[LabelClass]) -> tuple[LabelClass, ...]:
    """All classes but the background."""
    return tuple(c for c in classes if not is_background(c))


def is_background(label: LabelClass) -> bool:
    """Whether this is the background: class id 0, named `background` or said to be."""
    return label.id == 0 and (label.background or label.name == BACKGROUND)


def id_problems(identifiers: Iterable[str]) -> list[tuple[str, str]]:
    """Pairs (kind, identifier) for each identifier that the mask format does not allow."""
    found: list[tuple[str, str]] = []
    seen: dict[str, str] = {}
    for identifier in identifiers:
        if not ID_PATTERN.fullmatch(identifier):
            found.append((f"id not of the form {ID_PATTERN.pattern}", repr(identifier)))
        other = seen.setdefault(identifier.casefold(), identifier)
        if other is not identifier:
            kind = "duplicate id" if other == identifier else "ids that differ only in case"
            found.append((kind, f"{other} and {identifier}" if other != identifier else identifier))
    return found
