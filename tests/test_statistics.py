"""Intervals and paired tests against scipy.stats and against literal definitions."""

from __future__ import annotations

import itertools
import math
from statistics import NormalDist
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from segbench.errors import SegbenchError
from segbench.statistics.bootstrap import (
    bca_interval,
    check_method,
    interval,
    leave_one_out,
    percentile_interval,
    replicate,
)
from segbench.statistics.paired import (
    holm,
    paired_difference,
    permutation_test,
    superiority,
    wilcoxon,
)


def mean_of(values):
    """The mean of units' values (units,) or (units, M) as a statistic."""
    columns = np.asarray(values, dtype=float).reshape(len(values), -1)
    return lambda weight: weight @ columns / weight.sum(axis=1, keepdims=True)


def both(a, b):
    """Means of two entries, A's units first."""
    return mean_of(np.concatenate((a, b)))


# --- intervals ---


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_bca_is_scipys_on_the_same_replicates(seed, level):
    x = np.random.default_rng(seed).beta(8, 1.2, 30)
    replicates = replicate(mean_of(x), len(x), n_resamples=2000, seed=seed)
    low, high = interval(replicates, mean_of(x), len(x), method="bca", level=level)
    given_result = SimpleNamespace(bootstrap_distribution=replicates[:, 0])
    expected = stats.bootstrap(
        (x,), np.mean, n_resamples=0, bootstrap_result=given_result, method="BCa",
        confidence_level=level,
    ).confidence_interval  # fmt: skip
    assert (low[0], high[0]) == pytest.approx((expected.low, expected.high), abs=1e-10)


def literal_bca(replicates, point, jackknife, level=0.95):
    """Efron 1987 in plain numbers: one column, nothing degenerate."""
    normal = NormalDist()
    below = sum((r < point) + 0.5 * (r == point) for r in replicates) / len(replicates)
    bias = normal.inv_cdf(below)
    mean = math.fsum(jackknife) / len(jackknife)
    cubes = math.fsum((mean - j) ** 3 for j in jackknife)
    squares = math.fsum((mean - j) ** 2 for j in jackknife)
    acceleration = cubes / (6 * squares**1.5) if squares else 0.0
    ends = []
    for tail in ((1 - level) / 2, (1 + level) / 2):
        z = bias + normal.inv_cdf(tail)
        ends.append(np.quantile(replicates, normal.cdf(bias + z / (1 - acceleration * z))))
    return tuple(ends)


def test_bca_of_many_columns_is_the_literal_one():
    rng = np.random.default_rng(1)
    replicates = rng.gamma(3, 1, (999, 6))
    replicates[:, 5] = np.round(replicates[:, 5])  # many equal to the estimate
    point = np.array([2.0, 2.5, 3.0, 3.5, 4.0, 3.0])
    jackknife = rng.gamma(2, 1, (12, 6))
    low, high = bca_interval(replicates, point, jackknife)
    for i in range(6):
        expected = literal_bca(replicates[:, i], point[i], jackknife[:, i])
        assert (low[i], high[i]) == pytest.approx(expected)
    plain = percentile_interval(replicates)
    assert not np.allclose(low, plain[0])


def test_bca_without_a_jackknife_is_bias_corrected():
    replicates = np.random.default_rng(2).gamma(3, 1, (500, 3))
    point = np.full(3, 2.0)
    jackknife = np.array([[1.5, np.nan, 0.1], [1.5, np.nan, 0.1 + 1e-17], [1.5, np.nan, 0.1]])
    low, high = bca_interval(replicates, point, jackknife)
    for i in range(3):
        expected = literal_bca(replicates[:, i], 2.0, [1.0, 1.0])
        assert (low[i], high[i]) == pytest.approx(expected)


def test_bca_falls_back_to_the_percentile_interval():
    """All replicates on one side of the estimate; the formula's pole inside; nothing drawn."""
    replicates = np.tile(np.linspace(0, 1, 100_001)[:, np.newaxis], 3)
    replicates[:, 2] = np.nan
    point = np.array([2.0, 0.999985, 0.5])
    jackknife = np.ones((4000, 3))
    jackknife[0] = 0.0  # an acceleration of nearly 1/6, the greatest there can be
    low, high = bca_interval(replicates, point, jackknife)
    assert low == pytest.approx([0.025, 0.025, np.nan], nan_ok=True)
    assert high == pytest.approx([0.975, 0.975, np.nan], nan_ok=True)
    point[1] = 0.5  # without bias there is no pole
    assert bca_interval(replicates, point, jackknife)[0][1] > 0.03


def test_equal_replicates_give_an_interval_of_no_width():
    x = np.full(7, 0.1)
    for method in ("percentile", "bca"):
        low, high = interval(replicate(mean_of(x), 7), mean_of(x), 7, method=method)
        assert (low[0], high[0]) == pytest.approx((0.1, 0.1), abs=1e-15)


def test_undefined_replicates_are_left_out_of_bca():
    replicates = np.random.default_rng(3).gamma(3, 1, (400, 1))
    with_gaps = np.insert(replicates, [5, 50], np.nan, axis=0)
    jackknife = np.array([[1.0], [2.0], [4.0]])
    point = np.array([2.5])
    a, b = bca_interval(replicates, point, jackknife), bca_interval(with_gaps, point, jackknife)
    assert a[0] == b[0]
    assert a[1] == b[1]


def test_leave_one_out_leaves_each_out_once():
    assert np.array_equal(np.concatenate(list(leave_one_out(5))), 1 - np.eye(5))
    rows = np.concatenate(list(leave_one_out(2500)))  # more than one block
    assert np.array_equal(rows, 1 - np.eye(2500))


def test_another_interval_is_refused():
    check_method("bca")
    with pytest.raises(SegbenchError, match="interval 'normal'; expected percentile or bca"):
        check_method("normal")


# --- permutation test ---


def literal_p(statistic_of, n):
    """Every one of the 2^n swaps, in plain loops: (p, the smallest p that there could be)."""
    sizes = [abs(statistic_of(swap)) for swap in itertools.product((False, True), repeat=n)]
    observed, most = sizes[0], max(sizes)
    share = lambda least: sum(s >= least - 1e-9 for s in sizes) / len(sizes)  # noqa: E731
    return share(observed), share(most)


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.int64, st.tuples(st.integers(1, 7), st.just(2)), elements=st.integers(0, 8)))
def test_the_exact_permutation_test_is_every_swap(values):
    a, b = values.T / 8

    def difference_of_means(swap):
        x = [bi if s else ai for ai, bi, s in zip(a, b, swap, strict=True)]
        y = [ai if s else bi for ai, bi, s in zip(a, b, swap, strict=True)]
        return (math.fsum(x) - math.fsum(y)) / len(swap)

    found = permutation_test(both(a, b), len(a))
    p, smallest = literal_p(difference_of_means, len(a))
    assert found.exact
    assert found.p[0] == pytest.approx(p)
    assert found.smallest[0] == pytest.approx(smallest)


@settings(max_examples=40, deadline=None)
@given(
    hnp.arrays(np.int64, st.tuples(st.integers(1, 6), st.just(2), st.just(2)),
               elements=st.integers(1, 20))
)  # fmt: skip
def test_pooled_ratios_are_tested_by_swapping_counts(counts):
    """Units hold (hits, pixels) of A and of B; the statistic is formed again after each swap."""
    a, b = counts[:, 0], counts[:, 1]

    def ratios(weight):
        sums = weight @ np.concatenate((a, b)).astype(float)
        return sums[:, :1] / sums[:, 1:]

    def difference(swap):
        x = sum(bi if s else ai for ai, bi, s in zip(a, b, swap, strict=True))
        y = sum(ai if s else bi for ai, bi, s in zip(a, b, swap, strict=True))
        return x[0] / x[1] - y[0] / y[1]

    found = permutation_test(ratios, len(a))
    p, smallest = literal_p(difference, len(a))
    assert found.p[0] == pytest.approx(p)
    assert found.smallest[0] == pytest.approx(smallest)


@pytest.mark.parametrize("seed", range(4))
def test_the_permutation_test_is_scipys(seed):
    rng = np.random.default_rng(seed)
    a = rng.beta(8, 2, 11)
    b = a - rng.normal(0.01, 0.03, 11)
    expected = stats.permutation_test(
        (a, b), lambda x, y, axis: np.mean(x - y, axis=axis), permutation_type="samples",
        vectorized=True, n_resamples=np.inf,
    )  # fmt: skip
    assert permutation_test(both(a, b), 11).p[0] == pytest.approx(expected.pvalue)


def test_nine_groups_can_give_no_smaller_p_than_one_in_256():
    """2 of 2^9 swaps are the most extreme: a two-sided test counts the opposite one too."""
    a = np.linspace(0.5, 0.9, 9)
    found = permutation_test(both(a, a - np.linspace(0.1, 0.2, 9)), 9)
    assert found.p[0] == found.smallest[0] == 1 / 256
    alike = np.where(np.arange(9) < 2, a, a - 0.1)  # two groups on which they do not differ
    assert permutation_test(both(a, alike), 9).smallest[0] == 1 / 64


def test_random_swaps_count_the_observed_one():
    rng = np.random.default_rng(0)
    a = rng.random(40)
    far = permutation_test(both(a + 1, a), 40, n_permutations=999)
    assert not far.exact
    assert far.n == 1000
    assert far.p[0] == far.smallest[0] == 1 / 1000
    b = a + rng.normal(0.02, 0.1, 40)
    again = [permutation_test(both(a, b), 40, seed=s).p[0] for s in (1, 1, 2)]
    assert again[0] == again[1] != again[2]
    expected = stats.permutation_test(
        (a, b), lambda x, y, axis: np.mean(x - y, axis=axis), permutation_type="samples",
        vectorized=True, n_resamples=20_000, rng=rng,
    )  # fmt: skip
    assert again[0] == pytest.approx(expected.pvalue, abs=0.025)


def test_many_columns_are_tested_as_each_alone():
    rng = np.random.default_rng(5)
    a, b = rng.random((8, 3)), rng.random((8, 3))
    whole = permutation_test(both(a, b), 8)
    for i in range(3):
        assert whole.p[i] == permutation_test(both(a[:, i], b[:, i]), 8).p[0]


def test_an_undefined_difference_has_no_p():
    a = np.array([np.nan, 1.0, 2.0])
    assert math.isnan(permutation_test(both(a, a), 3).p[0])


def test_equal_entries_are_not_told_apart():
    """Sums in another order differ by rounding; that is no difference."""
    x = np.random.default_rng(0).random(61) * 0.1
    statistic = paired_difference(both(x, x))
    replicates = replicate(statistic, 61, n_resamples=500)
    assert not replicates.any()
    assert superiority(replicates, higher_is_better=True) == [0.5]
    assert permutation_test(both(x, x), 61).p == [1.0]
    assert wilcoxon(x - x) == 1.0


# --- Wilcoxon, Holm, superiority ---


def literal_wilcoxon(differences):
    """Every sign of every rank."""
    ranks = stats.rankdata(np.abs(differences))
    middle = ranks.sum() / 2
    observed = abs(ranks[np.asarray(differences) > 0].sum() - middle)
    sums = [
        sum(r for r, s in zip(ranks, signs, strict=True) if s)
        for signs in itertools.product((False, True), repeat=len(ranks))
    ]
    return sum(abs(s - middle) >= observed - 1e-9 for s in sums) / len(sums)


def test_wilcoxon_is_exact_without_ties():
    d = np.array([0.11, -0.02, 0.05, 0.07, -0.01, 0.31, 0.19, np.nan])
    assert wilcoxon(d) == pytest.approx(literal_wilcoxon(d[:-1]))


def test_wilcoxon_with_zeros_is_scipys_after_pratt():
    d = np.array([0.0, 0.0, 0.3, -0.1, 0.2, 0.2, 0.5, 0.4, -0.3, 0.1])
    expected = stats.wilcoxon(d, zero_method="pratt", method="asymptotic").pvalue
    assert wilcoxon(d) == pytest.approx(expected)
    assert wilcoxon(d) != pytest.approx(stats.wilcoxon(d[d != 0], method="asymptotic").pvalue)
    assert math.isnan(wilcoxon(np.array([np.nan])))


def literal_holm(p):
    """Reject step by step while p (i) <= alpha / (m - i): the least alpha that rejects each."""
    m = len(p)
    out = []
    for value in p:
        worst = 0.0
        for i, smaller in enumerate(sorted(p)):
            if smaller <= value:
                worst = max(worst, min(1.0, (m - i) * smaller))
        out.append(worst)
    return out


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8, unique=True))
def test_holm_is_the_literal_one(p):
    assert holm(np.array(p)) == pytest.approx(literal_holm(p))


def test_holm_by_hand():
    """Holm 1979: 4 x 0.01, 3 x 0.02, 2 x 0.03 (under the one before: raised), 1 x 0.5."""
    found = holm(np.array([0.03, 0.01, np.nan, 0.5, 0.02]))
    assert found == pytest.approx([0.06, 0.04, np.nan, 0.5, 0.06], nan_ok=True)


def test_superiority_counts_ties_half_and_follows_the_direction():
    d = np.array([[0.1], [0.2], [0.0], [-0.1], [np.nan]])
    assert superiority(d, higher_is_better=True) == [2.5 / 4]
    assert superiority(d, higher_is_better=False) == [1.5 / 4]
    assert math.isnan(superiority(d[4:], higher_is_better=True)[0])
