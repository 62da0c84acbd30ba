"""Ranks, their probabilities and tiers, against literal definitions and SciPy."""

from __future__ import annotations

import math
from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from segbench.statistics import ranking

few_values = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])
tables = hnp.arrays(float, st.tuples(st.integers(1, 6), st.integers(1, 4)), elements=few_values)


@given(tables)
def test_ranks_are_scipys(values):
    np.testing.assert_array_equal(
        ranking.ranks(values, higher_is_better=False), stats.rankdata(values, axis=1)
    )
    np.testing.assert_array_equal(
        ranking.ranks(values, higher_is_better=True), stats.rankdata(-values, axis=1)
    )


def test_an_entry_without_a_value_has_no_rank_and_takes_none():
    found = ranking.ranks(np.array([0.5, np.nan, 0.9]), higher_is_better=True)
    np.testing.assert_array_equal(found, [2, np.nan, 1])


def literal_probabilities(replicates) -> np.ndarray:
    """Break every tie in every way, each equally often."""
    n = replicates.shape[1]
    total = np.zeros((n, n))
    for row in replicates:
        orders = [
            order
            for order in permutations(range(n))
            if all(row[a] >= row[b] for a, b in pairwise(order))
        ]
        for order in orders:
            for rank, entry in enumerate(order):
                total[entry, rank] += 1 / len(orders)
    return total / len(replicates)


@given(tables)
def test_rank_probabilities_are_the_literal_ones(replicates):
    found = ranking.rank_probabilities(replicates, higher_is_better=True)
    np.testing.assert_allclose(found, literal_probabilities(replicates), atol=1e-12)
    np.testing.assert_allclose(found.sum(axis=0), 1)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    opposite = ranking.rank_probabilities(-replicates, higher_is_better=False)
    np.testing.assert_array_equal(found, opposite)


def test_undefined_replicates_say_nothing():
    replicates = np.array([[1.0, 0.0], [np.nan, 1.0]])
    found = ranking.rank_probabilities(replicates, higher_is_better=True)
    np.testing.assert_array_equal(found, [[1, 0], [0, 1]])
    assert np.isnan(ranking.rank_probabilities(replicates[1:], higher_is_better=True)).all()


def test_rank_then_aggregate_can_contradict_the_means():
    """One image on which the first fails takes its mean down, but only one of its ranks."""
    per_image = np.array([[0.9, 0.8], [0.9, 0.8], [0.0, 0.8], [np.nan, 0.8]])
    means = np.nanmean(per_image[:3], axis=0)
    assert means[0] < means[1]
    found = ranking.rank_then_aggregate(per_image, higher_is_better=True)
    np.testing.assert_allclose(found, [4 / 3, 5 / 3])


def test_significant_wins():
    values = np.array([0.9, 0.8, 0.5])
    differences = values[:, np.newaxis] - values
    p = np.array([[np.nan, 0.2, 0.01], [0.2, np.nan, 0.04], [0.01, 0.04, np.nan]])
    assert ranking.significant_wins(differences, p).tolist() == [1, 1, 0]
    assert ranking.significant_wins(-differences, p).tolist() == [0, 0, 2]


def p_from(table):
    return lambda a, b: table[frozenset((a, b))]


def test_tiers_hold_what_cannot_be_told_from_their_best():
    values = [0.90, 0.95, 0.80, 0.70, math.nan]
    p = {(0, 1): 0.30, (1, 2): 0.01, (1, 3): 0.001, (2, 3): 0.5, (0, 2): 0.01, (0, 3): 0.01}
    found = ranking.tiers(
        values, p_from({frozenset(k): v for k, v in p.items()}), higher_is_better=True
    )
    assert found == [[1, 0], [2, 3]]


def test_tiers_adjust_for_the_number_of_entries():
    """0.02 for each of three others is 0.06 after Holm: nothing is told apart."""
    assert ranking.tiers([3, 2, 1, 0], lambda *_: 0.02, higher_is_better=True) == [[0, 1, 2, 3]]
    assert ranking.tiers([3, 2], lambda *_: 0.02, higher_is_better=True) == [[0], [1]]
    assert ranking.tiers([3, 2], lambda *_: 0.02, higher_is_better=False) == [[1], [0]]


def test_a_later_entry_may_stay_in_a_tier_that_an_earlier_one_leaves():
    p = {frozenset((0, 1)): 0.001, frozenset((0, 2)): 0.4}
    assert ranking.tiers([3, 2, 1], p_from(p), higher_is_better=True) == [[0, 2], [1]]


@pytest.mark.parametrize("values", [[], [math.nan]])
def test_no_tiers_of_nothing(values):
    assert ranking.tiers(values, lambda *_: 0.5, higher_is_better=True) == []
