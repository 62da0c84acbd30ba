"""Compare an entry's scores and rows with those found: every value, not the files' bytes.

Counts, names and signatures must be equal. Floats must be equal too; those that differ in the last
digits only (a relative 1e-12: other processors add in another order) are counted apart.

What is found in rows comes from reference masks, so a message says where a row differs and not by
what; scores are for all to see.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from segbench.errors import Problems

if TYPE_CHECKING:
    import pyarrow as pa

ROUNDING = 1e-12

_HEAD = ("dataset", "dataset_version", "split_digest", "split", "fold", "n_samples", "n_groups")
_HEAD_TOO = ("n_missing", "form", "interval")


@dataclass(slots=True)
class Compared:
    """How many values were compared, and how many of them are equal only after rounding."""

    n: int = 0
    n_rounded: int = 0

    def same(self, claimed: object, found: object) -> bool:
        """Count a pair of values; whether they are equal."""
        self.n += 1
        if claimed == found and type(claimed) is type(found):
            return True
        numbers = (int, float)
        if not isinstance(claimed, numbers) or not isinstance(found, numbers):
            return False
        if isinstance(claimed, bool) or isinstance(found, bool):
            return False
        if claimed == found or (math.isnan(claimed) and math.isnan(found)):
            return True
        if isinstance(claimed, int) and isinstance(found, int):
            return False
        close = math.isclose(claimed, found, rel_tol=ROUNDING, abs_tol=ROUNDING)
        self.n_rounded += close
        return close


def compare_scores(
    claimed: Mapping[str, Any], found: Mapping[str, Any], problems: Problems
) -> Compared:
    """Compare two scores.json, whole: head, scores, intervals, subgroups.

    Args:
        claimed: The entry's.
        found: As it was made again.
        problems: Where differences are noted.
    """
    compared = Compared()
    for key in (*_HEAD, *_HEAD_TOO):
        if not compared.same(claimed.get(key), found.get(key)):
            problems.add(
                "head of scores.json",
                f"{key}: {found.get(key)}, claimed {_brief(claimed.get(key))}",
            )
    theirs, ours = dict(_scores(claimed)), dict(_scores(found))
    for name in [name for name in theirs if name not in ours]:
        problems.add("score that is not found", _brief(name))
    for name in [name for name in ours if name not in theirs]:
        problems.add("score that is missing", name)
    for name in [name for name in ours if name in theirs]:
        _compare_score(name, theirs[name], ours[name], compared, problems)
    return compared


def _compare_score(
    name: str,
    claimed: Mapping[str, Any],
    found: Mapping[str, Any],
    compared: Compared,
    problems: Problems,
) -> None:
    if not compared.same(claimed.get("value"), found["value"]):
        problems.add("score", f"{name}: {found['value']}, claimed {_brief(claimed.get('value'))}")
    ends = claimed.get("ci95")
    ends = ends if isinstance(ends, list) else []
    both = zip(ends, found["ci95"], strict=False)
    if len(ends) != 2 or not all(compared.same(a, b) for a, b in both):  # noqa: PLR2004
        problems.add("interval", f"{name}: {found['ci95']}, claimed {_brief(ends)}")
    if not compared.same(claimed.get("n"), found["n"]):
        problems.add(
            "number of images", f"{name}: {found['n']}, claimed {_brief(claimed.get('n'))}"
        )
    if not compared.same(unversioned(claimed.get("signature")), unversioned(found["signature"])):
        problems.add(
            "signature", f"{found['signature']}, claimed {_brief(claimed.get('signature'))}"
        )


def _scores(head: Mapping[str, Any]) -> Iterable[tuple[str, Mapping[str, Any]]]:
    """Every score of a scores.json under a name of its own; what has no such form is left out."""
    yield from _listed(head.get("scores"), "")
    subgroups = head.get("subgroups")
    for column, values in subgroups.items() if isinstance(subgroups, dict) else ():
        for value, scores in values.items() if isinstance(values, dict) else ():
            yield from _listed(scores, f" where {column}={value}")


def _listed(scores: object, where: str) -> Iterable[tuple[str, Mapping[str, Any]]]:
    seen: dict[str, int] = {}
    for score in scores if isinstance(scores, list) else ():
        if isinstance(score, dict):
            name = f"{score.get('measure')} of {score.get('class')} over {score.get('over')}{where}"
            seen[name] = seen.get(name, 0) + 1  # a second of one name is one too many
            yield (name if seen[name] == 1 else f"{name} ({seen[name]})"), score


def unversioned(signature: object) -> object:
    """A signature without the version of segbench."""
    return signature.rpartition("|v:")[0] if isinstance(signature, str) else signature


def compare_rows(claimed: pa.Table, found: pa.Table, problems: Problems) -> Compared:
    """Compare two rows.parquet: every row of every column.

    Args:
        claimed: The entry's.
        found: As they were made again.
        problems: Where differences are noted: the sample, the class and the column, no values.
    """
    compared = Compared()
    for name in found.column_names:
        if name not in claimed.column_names:
            problems.add("column that is missing in the rows", name)
    for name in claimed.column_names:
        if name not in found.column_names:
            problems.add("column that the rows should not have", _brief(name))
    if claimed["id"].to_pylist() != found["id"].to_pylist() or (
        claimed["class"].to_pylist() != found["class"].to_pylist()
    ):
        problems.add("rows", "other samples or classes, or in another order")
        return compared
    where = list(zip(found["id"].to_pylist(), found["class"].to_pylist(), strict=True))
    for name in found.column_names:
        if name in claimed.column_names:
            for i in _different(claimed[name], found[name], compared):
                problems.add("row that differs", f"{where[i][0]} {where[i][1]}: {name}")
    return compared


def _different(claimed: pa.ChunkedArray, found: pa.ChunkedArray, compared: Compared) -> list[int]:
    """The rows in which two columns differ."""
    import pyarrow as pa  # noqa: PLC0415

    if pa.types.is_floating(claimed.type) and pa.types.is_floating(found.type):
        a, b = claimed.to_numpy(), found.to_numpy()
        equal = (a == b) | (np.isnan(a) & np.isnan(b))
        close = ~equal & np.isclose(a, b, rtol=ROUNDING, atol=ROUNDING)
        compared.n += len(a)
        compared.n_rounded += int(close.sum())
        return np.flatnonzero(~(equal | close)).tolist()
    pairs = zip(claimed.to_pylist(), found.to_pylist(), strict=True)
    return [i for i, (a, b) in enumerate(pairs) if not compared.same(a, b)]


def _brief(value: object) -> str:
    """A stranger's value for a message."""
    text = str(value)
    return text if len(text) <= 100 else f"{text[:100]}..."  # noqa: PLR2004
