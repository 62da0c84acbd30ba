"""Splits and folds: against brute force where that is possible, and by their promises elsewhere."""

from __future__ import annotations

import csv
from collections import Counter
from itertools import product

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from segbench.catalog.cards import find_dataset
from segbench.catalog.splitting import folds, split_by_shares
from segbench.errors import SegbenchError

group_sizes = st.lists(st.integers(1, 6), min_size=2, max_size=7)
strata_of_singles = st.lists(st.sampled_from("aaabbc"), min_size=5, max_size=60)


def in_groups(sizes: list[int]) -> dict[str, str]:
    """Group of each id, for groups of these sizes."""
    return {f"g{g}-{k}": f"g{g}" for g, size in enumerate(sizes) for k in range(size)}


def parts_of_groups(assigned, groups):
    parts = {}
    for identifier, part in assigned.items():
        parts.setdefault(groups[identifier], set()).add(part)
    return parts


@given(group_sizes, st.data())
@settings(deadline=None, max_examples=60)
def test_exact_numbers_are_met_whenever_any_division_meets_them(sizes, data):
    groups = in_groups(sizes)
    first = data.draw(st.integers(1, len(groups) - 1))
    strata = {i: data.draw(st.sampled_from("ab")) for i in groups}
    shares = {"train": first, "test": len(groups) - first}
    possible = any(
        sum(size for size, side in zip(sizes, sides, strict=True) if side) == first
        for sides in product((False, True), repeat=len(sizes))
    )
    if not possible:
        with pytest.raises(SegbenchError, match="no way was found"):
            split_by_shares(groups, groups=groups, strata=strata, shares=shares, seed=0)
        return
    assigned = split_by_shares(groups, groups=groups, strata=strata, shares=shares, seed=0)
    assert Counter(assigned.values()) == shares
    assert all(len(parts) == 1 for parts in parts_of_groups(assigned, groups).values())


@given(strata_of_singles, st.integers(0, 99))
@settings(deadline=None, max_examples=60)
def test_folds_of_single_ids_differ_by_one_at_most_in_size_and_by_one_in_each_stratum(strata, seed):
    stratum = {f"i{k}": s for k, s in enumerate(strata)}
    alone = {i: i for i in stratum}
    fold = folds(stratum, groups=alone, strata=stratum, seed=seed)
    for held in (stratum, *({i for i in stratum if stratum[i] == s} for s in set(strata))):
        count = [sum(fold[i] == k for i in held) for k in range(5)]
        assert max(count) - min(count) <= 1


@given(strata_of_singles, st.integers(0, 99))
@settings(deadline=None, max_examples=60)
def test_strata_of_single_ids_are_close_to_their_share(strata, seed):
    stratum = {f"i{k}": s for k, s in enumerate(strata)}
    alone = {i: i for i in stratum}
    n = len(stratum)
    shares = {"train": n - 2 * (n // 4), "val": n // 4, "test": n // 4}
    split = split_by_shares(stratum, groups=alone, strata=stratum, shares=shares, seed=seed)
    assert Counter(split.values()) == shares
    got = Counter((split[i], stratum[i]) for i in stratum)
    for part, s in product(shares, set(strata)):
        assert abs(got[part, s] - shares[part] * strata.count(s) / n) < 1.5


@given(group_sizes, st.integers(0, 99), st.randoms())
@settings(deadline=None, max_examples=30)
def test_neither_order_nor_repetition_changes_the_result_and_the_seed_does(sizes, seed, random):
    groups = in_groups(sizes)
    same = dict.fromkeys(groups, "")
    assume(len(sizes) > 1)
    shuffled = list(groups)
    random.shuffle(shuffled)
    shares = {"a": 0.5, "b": 0.5}
    one = split_by_shares(groups, groups=groups, strata=same, shares=shares, seed=seed)
    assert split_by_shares(shuffled, groups=groups, strata=same, shares=shares, seed=seed) == one
    assert list(one) == list(groups)
    two = folds(groups, groups=groups, strata=same, n_folds=2, seed=seed)
    assert folds(shuffled, groups=groups, strata=same, n_folds=2, seed=seed) == two


def test_another_seed_gives_another_assignment_and_folds_do_not_follow_splits():
    ids = [f"i{k}" for k in range(40)]
    alone, same = {i: i for i in ids}, dict.fromkeys(ids, "")
    shares = {"a": 20, "b": 20}
    splits = [
        split_by_shares(ids, groups=alone, strata=same, shares=shares, seed=seed) for seed in (1, 2)
    ]
    assert splits[0] != splits[1]
    halves = folds(ids, groups=alone, strata=same, n_folds=2, seed=1)
    both = Counter((splits[0][i], halves[i]) for i in ids)
    assert min(both.values()) > 0
    assert len(both) == 4


def test_the_method_still_gives_the_pinned_folds_of_mads():
    """Any change of the method would silently move other people's samples."""
    pinned = find_dataset("mads").assignments
    take = {i: "_".join(i.split("_")[:2]) for i in pinned}
    activity = {i: i.split("_")[0] for i in pinned}
    fold = folds(pinned, groups=take, strata=activity, seed=1)
    assert fold == {i: assignment.fold for i, assignment in pinned.items()}


@pytest.mark.xdist_group("real")
def test_the_method_still_gives_the_pinned_splits_and_folds_of_ph2(ph2):
    with (ph2 / "ph2" / "samples.csv").open(encoding="utf-8", newline="") as stream:
        diagnosis = {row["id"]: row["diagnosis"] for row in csv.DictReader(stream)}
    pinned = find_dataset("ph2").assignments
    group = {i: assignment.group for i, assignment in pinned.items()}
    shares = {"train": 80, "val": 20, "test": 100}
    split = split_by_shares(pinned, groups=group, strata=diagnosis, shares=shares, seed=1)
    fold = folds(pinned, groups=group, strata=diagnosis, seed=1)
    assert {i: (split[i], fold[i]) for i in pinned} == {
        i: (assignment.split, assignment.fold) for i, assignment in pinned.items()
    }


def test_a_stratum_that_is_one_group_cannot_be_divided_but_the_rest_is():
    groups = in_groups([4, *[1] * 16])
    strata = {i: "rare" if group == "g0" else "common" for i, group in groups.items()}
    shares = {"train": 10, "test": 10}
    split = split_by_shares(groups, groups=groups, strata=strata, shares=shares, seed=0)
    assert Counter(split.values()) == shares
    assert len({split[i] for i in groups if strata[i] == "rare"}) == 1


def test_fractions_leave_no_part_empty_where_there_are_enough_groups():
    for n in range(3, 12):
        ids = [f"i{k}" for k in range(n)]
        shares = {"train": 0.7, "val": 0.1, "test": 0.2}
        split = split_by_shares(
            ids, groups={i: i for i in ids}, strata=dict.fromkeys(ids, ""), shares=shares, seed=0
        )
        assert set(split.values()) == set(shares)


ids4 = ["a", "b", "c", "d"]
alone4 = {i: i for i in ids4}
impossible = {
    "sum": ({"train": 3, "test": 2}, alone4, "5 together"),
    "fractions": ({"train": 0.5, "test": 0.4}, alone4, "add up to 1"),
    "zero": ({"train": 4, "test": 0}, alone4, "above 0"),
    "negative": ({"train": 5, "test": -1}, alone4, "above 0"),
    "not a number": ({"train": float("nan"), "test": 0.5}, alone4, "above 0"),
    "no parts": ({}, alone4, "no parts"),
    "one group": ({"train": 2, "test": 2}, dict.fromkeys(ids4, "g"), "1 groups cannot fill 2"),
    "odd groups": (
        {"train": 1, "test": 3},
        {"a": "g", "b": "g", "c": "h", "d": "h"},
        "nearest is train 2, test 2",
    ),
    "no group": ({"train": 2, "test": 2}, {"a": "a"}, "without a group"),
}


@pytest.mark.parametrize(("shares", "groups", "message"), impossible.values(), ids=impossible)
def test_what_cannot_be_is_refused_and_says_why(shares, groups, message):
    with pytest.raises(SegbenchError, match=message):
        split_by_shares(ids4, groups=groups, strata=dict.fromkeys(ids4, ""), shares=shares, seed=0)


def test_ids_that_cannot_be_folded_are_refused():
    same = dict.fromkeys(ids4, "")
    with pytest.raises(SegbenchError, match="4 groups cannot fill 5 parts"):
        folds(ids4, groups=alone4, strata=same, seed=0)
    with pytest.raises(SegbenchError, match="0 folds"):
        folds(ids4, groups=alone4, strata=same, n_folds=0, seed=0)
    with pytest.raises(SegbenchError, match=r"more than once \(1\): a"):
        folds([*ids4, "a"], groups=alone4, strata=same, n_folds=2, seed=0)
    with pytest.raises(SegbenchError, match=r"without a stratum \(3\): b, c, d"):
        folds(ids4, groups=alone4, strata={"a": ""}, n_folds=2, seed=0)
    with pytest.raises(SegbenchError, match="nothing to split"):
        folds([], groups={}, strata={}, seed=0)
