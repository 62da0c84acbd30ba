"""The pinned splits: their counts, strata and groups, and the digests of the real files."""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segbench.catalog.cards import find_dataset
from segbench.catalog.splitting import folds, split_by_shares
from segbench.errors import SegbenchError

# images of one lesion: found by local features, then looked at
PH2_LESIONS = ["199 200", "408 409", "425 426", "064 348", "043 256", "041 042", "278 279 280",
               "002 004", "139 140", "020 021", "039 040", "019 038", "207 208"]  # fmt: skip


def test_ph2():
    items = find_dataset("ph2").assignments
    assert Counter(a.split for a in items.values()) == {"train": 80, "val": 20, "test": 100}
    assert set(Counter(a.fold for a in items.values()).values()) == {40}
    members = defaultdict(set)
    for a in items.values():
        members[a.group].add(a.id)
        assert len(a.image_sha256) == len(a.mask_sha256) == 64
    together = {frozenset(m) for m in members.values() if len(m) > 1}
    assert together == {frozenset(f"IMD{n}" for n in text.split()) for text in PH2_LESIONS}


def test_mads():
    items = find_dataset("mads").assignments
    assert Counter(a.split for a in items.values()) == {"train": 656, "val": 185, "test": 351}
    assert len({a.group for a in items.values()}) == 27
    for split in ("train", "val", "test"):
        activities = {a.id.split("_")[0] for a in items.values() if a.split == split}
        assert activities == {"HipHop", "Jazz", "Kata", "Sports", "Taichi"}
    unmeasured = [a for a in items.values() if a.image_sha256 is None]
    assert len(unmeasured) == 13
    assert {(a.group, a.split) for a in unmeasured} == {("HipHop_HipHop1", "train")}


@pytest.mark.xdist_group("real")
def test_ph2_is_stratified_by_diagnosis_and_every_digest_is_that_of_the_real_file(ph2):
    """Preparing checks each file's sha256 against the pin; the columns come from the real table."""
    lines = (ph2 / "ph2" / "samples.csv").read_text().splitlines()[1:]
    rows = [line.split(",") for line in lines]
    by_split = Counter((row[1], row[8]) for row in rows)
    by_fold = Counter((row[2], row[8]) for row in rows)
    for split, n in {"train": 32, "val": 8, "test": 40}.items():
        assert by_split[split, "common nevus"] == by_split[split, "atypical nevus"] == n
        assert by_split[split, "melanoma"] == n // 2
    for fold in "01234":
        assert [by_fold[fold, d] for d in ("common nevus", "atypical nevus", "melanoma")] == [
            16,
            16,
            8,
        ]


grouped = st.lists(st.tuples(st.integers(0, 12), st.sampled_from("ab")), min_size=20, max_size=60)


@given(grouped, st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_groups_never_straddle_and_order_does_not_matter(pairs, seed):
    ids = [f"i{n}" for n in range(len(pairs))]
    groups = {i: f"g{g}" for i, (g, _) in zip(ids, pairs, strict=True)}
    strata = {i: s for i, (_, s) in zip(ids, pairs, strict=True)}
    shares = {"train": 0.6, "val": 0.2, "test": 0.2}
    if len(set(groups.values())) < 5:
        return
    split = split_by_shares(ids, groups=groups, strata=strata, shares=shares, seed=seed)
    fold = folds(ids, groups=groups, strata=strata, seed=seed)
    for found in (split, fold):
        assert all(len({found[i] for i in ids if groups[i] == g}) == 1 for g in groups.values())
    again = split_by_shares(ids[::-1], groups=groups, strata=strata, shares=shares, seed=seed)
    assert again == split


def test_counts_are_met_exactly_or_refused():
    ids = [f"i{n}" for n in range(30)]
    alone = {i: i for i in ids}
    strata = {i: "ab"[n % 3 == 0] for n, i in enumerate(ids)}
    shares = {"train": 12, "test": 18}
    found = split_by_shares(ids, groups=alone, strata=strata, shares=shares, seed=0)
    assert Counter(found.values()) == shares
    assert Counter((found[i], strata[i]) for i in ids)["train", "b"] == 4
    with pytest.raises(SegbenchError):
        split_by_shares(ids, groups=alone, strata=strata, shares={"a": 12, "b": 19}, seed=0)
