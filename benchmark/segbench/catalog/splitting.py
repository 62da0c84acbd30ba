"""Deterministic splits and folds: stratified, and never with one group on two sides.

Pure Python on whole numbers: the same ids, groups, strata and seed give the same assignment on
every platform and with every version of every library. Chance enters only through the sha256 of
seed and group name, so it does not depend on the order in which ids are given.

Method. Groups are dealt out in hashed order, each to the part that lacks most of its strata so far.
Then groups move, or swap between two parts, for as long as that lowers the cost: the squared
deviation of every part from its due number of ids, in all and of each stratum, rare strata counting
more. The best of a few deals is kept.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from numbers import Integral

from segbench.errors import Problems, SegbenchError

N_DEALS = 5
N_DEALS_FOR_EXACT_NUMBERS = 100
N_PROFILES_TRIED = 48
"""Groups of one part that are tried for a swap at most; with more groups than that, the deal alone
is already as even as the swaps could make it."""

_Vector = tuple[int, ...]


def split_by_shares(
    ids: Iterable[str],
    *,
    groups: Mapping[str, str],
    strata: Mapping[str, str],
    shares: Mapping[str, float],
    seed: int,
) -> dict[str, str]:
    """Assign every id to a named part, for example train, val and test.

    Args:
        ids: Distinct ids, in any order.
        groups: The group of each id (its own id where it stands alone); never in two parts.
        strata: The stratum of each id; every part gets each stratum in proportion, as far as groups
            allow.
        shares: How much each part gets: whole numbers of ids, which are met exactly and must add up
            to all ids, or fractions, which must add up to 1 and are met as far as groups allow.
        seed: Another seed gives another, equally balanced assignment.

    Returns:
        The part of each id, in the order of `ids`.

    Raises:
        SegbenchError: An id is repeated or without group or stratum, the shares do not add up,
            there are fewer groups than parts, or no division of the groups into exactly these
            numbers was found.
    """
    listed = _checked(ids, groups, strata)
    sizes, exact = _sizes(shares, len(listed))
    _check_number_of_groups({groups[i] for i in listed}, tuple(sizes))
    due = tuple(sizes.values())
    part_of = _best_deal(listed, groups, strata, due=due, exact=exact, seed=f"{seed}:split")
    names = tuple(sizes)
    assigned = {i: names[part_of[groups[i]]] for i in listed}
    _check_outcome(Counter(assigned.values()), sizes, exact=exact)
    return assigned


def folds(
    ids: Iterable[str],
    *,
    groups: Mapping[str, str],
    strata: Mapping[str, str],
    n_folds: int = 5,
    seed: int,
) -> dict[str, int]:
    """Assign every id to one of `n_folds` folds of equal size and mix, as far as groups allow.

    Arguments as for `split_by_shares`; folds and splits of one seed are independent of each other.

    Returns:
        The fold of each id, 0 to `n_folds - 1`, in the order of `ids`.

    Raises:
        SegbenchError: An id is repeated or without group or stratum, or there are fewer groups than
            folds.
    """
    listed = _checked(ids, groups, strata)
    if n_folds < 1:
        raise SegbenchError(f"{n_folds} folds asked for; expected 1 or more")
    _check_number_of_groups({groups[i] for i in listed}, [f"fold {k}" for k in range(n_folds)])
    due = (1,) * n_folds
    fold_of = _best_deal(listed, groups, strata, due=due, exact=False, seed=f"{seed}:folds")
    return {i: fold_of[groups[i]] for i in listed}


def _best_deal(
    ids: Sequence[str],
    groups: Mapping[str, str],
    strata: Mapping[str, str],
    *,
    due: _Vector,
    exact: bool,
    seed: str,
) -> dict[str, int]:
    """The part of each group, in the best of a few deals; of more where numbers must be met."""
    best: _Deal | None = None
    for number in range(N_DEALS_FOR_EXACT_NUMBERS if exact else N_DEALS):
        deal = _Deal.of(ids, groups, strata, due=due, exact=exact, seed=f"{seed}:{number}")
        if best is None or deal.cost < best.cost:
            best = deal
        if best.cost == 0 or (number + 1 >= N_DEALS and best.sizes == due):
            break
    return best.parts() if best else {}


@dataclass(frozen=True, slots=True)
class _Rows:
    """What is balanced: row 0 counts all ids, each further row one stratum.

    Part p should get `due[p]` of `whole` of each row. Deviations are kept times `whole`, so that
    everything is a whole number.
    """

    totals: _Vector
    importance: _Vector
    due: _Vector
    whole: int

    def cost(self, held: Sequence[int], part: int) -> int:
        """How far one part, which holds these counts, is from its due."""
        return sum(
            row * (self.whole * have - self.due[part] * total) ** 2
            for row, have, total in zip(self.importance, held, self.totals, strict=True)
        )


class _Deal:
    """One assignment of groups to parts, improved until no move and no swap helps."""

    def __init__(self, rows: _Rows, profiles: Mapping[str, _Vector], order: Sequence[str]) -> None:
        self._rows = rows
        self._profiles = profiles
        n_parts = len(rows.due)
        self._members: list[dict[_Vector, list[str]]] = [{} for _ in range(n_parts)]
        self._held: list[list[int]] = [[0] * len(rows.totals) for _ in range(n_parts)]
        self._deal_out(order)
        self._improve()

    @classmethod
    def of(
        cls,
        ids: Sequence[str],
        groups: Mapping[str, str],
        strata: Mapping[str, str],
        *,
        due: _Vector,
        exact: bool,
        seed: str,
    ) -> _Deal:
        """Deal the groups of these ids out to parts that are due so many."""
        row_of = {stratum: k for k, stratum in enumerate(sorted({strata[i] for i in ids}), start=1)}
        counted: dict[str, list[int]] = {}
        for i in ids:
            profile = counted.setdefault(groups[i], [0] * (1 + len(row_of)))
            profile[0] += 1
            profile[row_of[strata[i]]] += 1
        totals = tuple(map(sum, zip(*counted.values(), strict=True)))
        importance = [max(1, round(totals[0] / total)) for total in totals]
        whole = sum(due)
        if exact:  # then no gain elsewhere is worth one id too many
            importance[0] += len(due) * sum(importance) * (whole * totals[0]) ** 2
        rows = _Rows(totals, tuple(importance), due, whole)
        order = sorted(counted, key=lambda g: hashlib.sha256(f"{seed}:{g}".encode()).digest())
        return cls(rows, {group: tuple(profile) for group, profile in counted.items()}, order)

    @property
    def cost(self) -> int:
        """The weighted squared deviation of all parts; 0 is perfect."""
        return sum(self._rows.cost(held, part) for part, held in enumerate(self._held))

    @property
    def sizes(self) -> _Vector:
        """The number of ids in each part."""
        return tuple(held[0] for held in self._held)

    def parts(self) -> dict[str, int]:
        """The part of each group."""
        return {
            group: part
            for part, members in enumerate(self._members)
            for alike in members.values()
            for group in alike
        }

    def _deal_out(self, order: Sequence[str]) -> None:
        """Each group goes where, of what has been dealt so far, most is lacking of its rows."""
        rows = self._rows
        dealt = [0] * len(rows.totals)
        for group in order:
            profile = self._profiles[group]
            dealt = [so_far + count for so_far, count in zip(dealt, profile, strict=True)]
            excess = [
                sum(
                    row * count * (rows.whole * have - due * so_far)
                    for row, count, have, so_far in zip(
                        rows.importance, profile, held, dealt, strict=True
                    )
                )
                for held, due in zip(self._held, rows.due, strict=True)
            ]
            self._put(group, excess.index(min(excess)))

    def _improve(self) -> None:
        """Move and swap groups between two parts at a time; every step lowers the cost."""
        improved = True
        while improved:
            improved = False
            for one, other in combinations(range(len(self._held)), 2):
                while step := self._best_swap(one, other):
                    self._swap(one, other, *step)
                    improved = True

    def _best_swap(self, one: int, other: int) -> tuple[_Vector, _Vector] | None:
        """The profiles to swap between two parts; a profile of zeros means nothing goes back."""
        nothing = (0,) * len(self._rows.totals)
        rows = self._rows
        gaps = [
            rows.whole * (b - a) - (rows.due[other] - rows.due[one]) * total
            for a, b, total in zip(self._held[one], self._held[other], rows.totals, strict=True)
        ]
        best, step = 0, None
        for given in (nothing, *list(self._members[one])[:N_PROFILES_TRIED]):
            for taken in (nothing, *list(self._members[other])[:N_PROFILES_TRIED]):
                # The change of the cost, divided by 2 * whole.
                change = sum(
                    row * (g - t) * (gap + rows.whole * (g - t))
                    for row, g, t, gap in zip(rows.importance, given, taken, gaps, strict=True)
                    if g != t
                )
                if change < best:
                    best, step = change, (given, taken)
        return step

    def _swap(self, one: int, other: int, given: _Vector, taken: _Vector) -> None:
        leaving = self._take(one, given)
        coming = self._take(other, taken)
        for group, part in ((leaving, other), (coming, one)):
            if group is not None:
                self._put(group, part)

    def _put(self, group: str, part: int) -> None:
        profile = self._profiles[group]
        self._members[part].setdefault(profile, []).append(group)
        held = self._held[part]
        held[:] = [have + count for have, count in zip(held, profile, strict=True)]

    def _take(self, part: int, profile: _Vector) -> str | None:
        if not any(profile):
            return None
        alike = self._members[part][profile]
        group = alike.pop(0)
        if not alike:
            del self._members[part][profile]
        held = self._held[part]
        held[:] = [have - count for have, count in zip(held, profile, strict=True)]
        return group


def _checked(
    ids: Iterable[str], groups: Mapping[str, str], strata: Mapping[str, str]
) -> tuple[str, ...]:
    listed = tuple(ids)
    problems = Problems()
    for identifier, times in Counter(listed).items():
        if times > 1:
            problems.add("id given more than once", identifier)
        if identifier not in groups:
            problems.add("id without a group", identifier, hint="one that stands alone is its own")
        if identifier not in strata:
            problems.add("id without a stratum", identifier, hint="with no strata, give all one")
    problems.raise_if_any("these ids cannot be split")
    if not listed:
        raise SegbenchError("nothing to split: no ids were given")
    return listed


def _sizes(shares: Mapping[str, float], n_ids: int) -> tuple[dict[str, int], bool]:
    """The due number of ids of each part, and whether it was given as such."""
    told = ", ".join(f"{name} {share}" for name, share in shares.items()) or "no parts"
    if not shares or not all(math.isfinite(share) and share > 0 for share in shares.values()):
        raise SegbenchError(f"shares are {told}; expected a number above 0 for every part")
    if all(isinstance(share, Integral) for share in shares.values()):
        counts = {name: int(share) for name, share in shares.items()}
        if sum(counts.values()) != n_ids:
            raise SegbenchError(
                f"shares are {told}, {sum(counts.values())} together; expected the number of ids, "
                f"{n_ids}, or fractions that add up to 1"
            )
        return counts, True
    if not math.isclose(math.fsum(shares.values()), 1, abs_tol=1e-6):
        raise SegbenchError(f"shares are {told}; expected fractions that add up to 1")
    return _largest_remainders(shares, n_ids), False


def _largest_remainders(shares: Mapping[str, float], n_ids: int) -> dict[str, int]:
    """Whole numbers nearest to the shares, one at least, that add up to all ids."""
    counts = {name: max(1, math.floor(share * n_ids)) for name, share in shares.items()}
    names = sorted(shares, key=lambda name: (counts[name] - shares[name] * n_ids, name))
    while (left := n_ids - sum(counts.values())) > 0:
        for name in names[:left]:
            counts[name] += 1
    while sum(counts.values()) > n_ids and max(counts.values()) > 1:  # small parts rounded up to 1
        counts[max(counts, key=lambda name: (counts[name], name))] -= 1
    return counts


def _check_number_of_groups(groups: set[str], parts: Sequence[str]) -> None:
    if len(groups) < len(parts):
        raise SegbenchError(
            f"{len(groups)} groups cannot fill {len(parts)} parts ({', '.join(parts)}), for a "
            f"group is never divided; expected at least as many groups as parts"
        )


def _check_outcome(got: Mapping[str, int], sizes: Mapping[str, int], *, exact: bool) -> None:
    nearest = ", ".join(f"{name} {got.get(name, 0)}" for name in sizes)
    asked = ", ".join(f"{name} {size}" for name, size in sizes.items())
    if exact and any(got.get(name, 0) != size for name, size in sizes.items()):
        raise SegbenchError(
            f"no way was found to divide these groups into exactly {asked}; the nearest is "
            f"{nearest}; give those numbers, or fractions that add up to 1"
        )
    if any(not got.get(name) for name in sizes):
        raise SegbenchError(
            f"with these groups the parts would be {nearest}, one of them empty; expected groups "
            f"small enough to divide into {asked}"
        )
