"""What a board says of many entries: fast paths against literal definitions, SciPy and challengeR."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import combinations, permutations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from segbench.board.across import across_datasets
from segbench.board.rank import _too_many, rank_entries
from segbench.board.standings import standings
from segbench.scoring.compare import image_values, paired_test
from segbench.scoring.scores import linear_sums, weighted_values
from segbench.scoring.stored import read_scores
from segbench.statistics import paired, ranking
from segbench.statistics.bootstrap import replicate

ROOT = Path(__file__).parents[1]
GOLDEN = json.loads((Path(__file__).parent / "golden" / "challenger.json").read_text())
few = st.sampled_from([0.0, 0.1, 0.3, 0.7, 1.0])
with_gaps = st.sampled_from([0.0, 0.25, 0.5, 1.0, np.nan])


@pytest.fixture(scope="module")
def real():
    """The real entries on PH2's test split that the repository holds."""
    names = ("unet-lite0", "grabcut", "otsu", "segnet-lesson")
    return {name: read_scores(ROOT / "results" / "ph2" / name) for name in names}


def ratio(sums):
    with np.errstate(invalid="ignore", divide="ignore"):
        return sums[..., 0] / sums[..., 1]


@settings(deadline=None, max_examples=40)
@given(hnp.arrays(float, st.tuples(st.integers(2, 4), st.integers(1, 6)), elements=with_gaps))
def test_all_pairs_at_once_is_the_test_of_each_pair(values):
    """Means over units of which some are undefined, every swap of units computed."""
    sums = np.stack((np.nan_to_num(values), ~np.isnan(values)), axis=2)
    apart, p = paired.permutation_tests(sums, ratio)
    n = values.shape[1]
    for i, j in combinations(range(len(values)), 2):
        both = np.concatenate((sums[i], sums[j]))
        alone = paired.permutation_test(lambda w, both=both: ratio(w @ both)[:, np.newaxis], n)
        np.testing.assert_array_equal(p[i, j], alone.p[0])
        assert p[j, i] == p[i, j] or np.isnan(p[i, j])
        np.testing.assert_allclose(
            apart[i, j], ratio(sums[i].sum(0)) - ratio(sums[j].sum(0)), atol=1e-12
        )
    assert np.isnan(np.diag(p)).all()


def test_all_pairs_at_once_with_random_swaps_is_the_test_of_each_pair():
    values = np.random.default_rng(3).beta(5, 2, (4, 30)).round(2)
    _, p = paired.permutation_tests(
        values[:, :, np.newaxis], lambda s: s[..., 0] / 30, n_permutations=999
    )
    for i, j in combinations(range(4), 2):
        both = np.concatenate((values[i], values[j]))[:, np.newaxis] / 30
        alone = paired.permutation_test(lambda w, both=both: w @ both, 30, n_permutations=999)
        assert p[i, j] == alone.p[0]


def test_all_pairs_at_once_is_scipys_permutation_test():
    values = np.random.default_rng(5).beta(5, 2, (3, 9))
    _, p = paired.permutation_tests(values[:, :, np.newaxis], lambda s: s[..., 0] / 9)
    for i, j in combinations(range(3), 2):
        found = stats.permutation_test(
            (values[i], values[j]),
            lambda a, b, axis: np.mean(a, axis=axis) - np.mean(b, axis=axis),
            permutation_type="samples",
            vectorized=True,
            n_resamples=np.inf,
        )
        assert p[i, j] == pytest.approx(found.pvalue, abs=1e-12)


MEASURES = (
    "dice", "hd95", "accuracy|class:all|over:images", "iou|over:dataset", "failure_rate",
    "accuracy|class:all|over:dataset", "dice|class:all|over:classes",
)  # fmt: skip


@pytest.mark.parametrize("measure", MEASURES)
def test_sums_give_the_values_of_weights(real, measure):
    """Every kind of average, from the sums over groups and from the tables."""
    chosen = rank_entries({"otsu": real["otsu"]}, measure).measure
    weight = np.random.default_rng(0).integers(0, 4, (50, 92)).astype(float)
    for stored in real.values():
        sums = linear_sums(stored.table, chosen)
        literal = weighted_values(stored.table, [chosen])(weight)[:, 0]
        np.testing.assert_allclose(sums.finish(weight @ sums.per_unit), literal, rtol=1e-13)


@pytest.mark.parametrize(
    ("n", "said"), [(5, "swaps"), (32, ""), (33, "wins are 0"), (502, "one tier")]
)
def test_too_many_entries_to_tell_apart_are_said(real, n, said):
    """10,001 swaps: 500 tests can still reach 5 %, 501 cannot; of 9 groups 13 tests cannot."""
    stored = real["otsu"]
    notes = _too_many(n, stored) if n != 5 else _too_many(14, replace(stored, table=stored.table.take(
        np.isin(stored.table.groups, np.unique(stored.table.groups)[:9]))))  # fmt: skip
    assert len(notes) == bool(said)
    assert said in "".join(notes)


def test_no_p_value_is_smaller():
    for n in (3, 9, 20):
        values = np.stack((np.ones(n), np.zeros(n)))[:, :, np.newaxis]
        _, p = paired.permutation_tests(values, lambda s, n=n: s[..., 0] / n)
        assert p[0, 1] >= paired.smallest_p(n)
        if n < 20:
            assert p[0, 1] == paired.smallest_p(n)


def test_the_worst_tenth_has_no_sums(real):
    chosen = rank_entries({"otsu": real["otsu"]}, "dice|over:worst10").measure
    assert linear_sums(real["otsu"].table, chosen) is None


@pytest.mark.parametrize("measure", ["dice", "iou|over:dataset"])
def test_the_ranks_of_real_entries_by_hand(real, measure):
    """Everything of a ranking, again from the parts: one pair, one entry, SciPy's ranks."""
    found = rank_entries(real, measure)
    names = [place.name for place in found.places]
    drawn = np.stack(
        [replicate(weighted_values(real[n].table, [found.measure]), 92)[:, 0] for n in names],
        axis=1,
    )
    ranks = stats.rankdata(-drawn, axis=1)
    p = np.full((4, 4), np.nan)
    for i, j in combinations(range(4), 2):
        p[i, j] = paired_test(real[names[i]].table, real[names[j]].table, found.measure)[1].p[0]
    tested = sorted((p[i, j], i, j) for i, j in combinations(range(4), 2))
    largest = 0.0
    for k, (value, i, j) in enumerate(tested):  # Holm, as its paper says
        largest = max(largest, min(1.0, value * (len(tested) - k)))
        assert found.p_holm[i, j] == found.p_holm[j, i] == pytest.approx(largest)
    for i, place in enumerate(found.places):
        assert place.probabilities == tuple((ranks[:, i] == r).mean() for r in (1, 2, 3, 4))
        assert place.rank_ci95 == tuple(np.quantile(ranks[:, i], (0.025, 0.975)))
        assert place.rank == i + 1
        beaten = [j for j in range(4) if j != i and found.p_holm[i, j] < 0.05 and j > i]
        assert place.wins == len(beaten)
    per_image = np.stack([image_values(real[n].table, found.measure) for n in names], axis=1)
    if not np.isnan(per_image).all():
        expected = stats.rankdata(-per_image, axis=1).mean(axis=0)
        np.testing.assert_allclose([place.mean_rank for place in found.places], expected)


def test_tiers_stay_together_where_a_better_score_is_in_a_worse_tier():
    """By HD95 otsu is before unet-lite0, but only unet-lite0 is not told from the best."""
    shown = ("deeplabv3plus-lite0", "grabcut", "otsu", "unet-lite0", "unet")
    entries = {name: read_scores(ROOT / "results" / "ph2" / name) for name in shown}
    found = rank_entries(entries, "hd95")
    tiers = [place.tier for place in found.places]
    assert tiers == sorted(tiers)
    names = [place.name for place in found.places]
    otsu, unet = names.index("otsu"), names.index("unet-lite0")
    assert found.places[otsu].score.value < found.places[unet].score.value
    assert found.places[otsu].rank < found.places[unet].rank
    assert found.places[otsu].tier > found.places[unet].tier == 1
    for (i, one), (j, other) in combinations(enumerate(names), 2):
        difference, _ = paired_test(entries[one].table, entries[other].table, found.measure)
        assert found.differences[i, j] == pytest.approx(-difference)  # positive: the row is better
        assert found.differences[j, i] == pytest.approx(difference)


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda c: c["method"])
def test_ways_to_rank_are_challengers(case):
    """Wiesenfarth et al. 2021; its tests are Wilcoxon's, one-sided and unadjusted."""
    better = not case["small_better"]
    names = list(case["values"])
    values = np.array([case["values"][name] for name in names]).T
    if case["method"] == "aggregate":
        statistic = values.mean(axis=0)
        found = ranking.ranks(statistic, higher_is_better=better)
    elif case["method"] == "rank":
        statistic = ranking.rank_then_aggregate(values, higher_is_better=better)
        found = ranking.ranks(statistic, higher_is_better=False)
    else:
        mean = values.mean(axis=0) * (1 if better else -1)
        side = "greater" if better else "less"
        p = np.full((2, 2), np.nan)
        for i, j in permutations(range(2)):
            _, p[i, j] = stats.wilcoxon(
                values[:, i], values[:, j], alternative=side, method="approx"
            )
        statistic = ranking.significant_wins(mean[:, np.newaxis] - mean, p)
        found = ranking.ranks(statistic.astype(float), higher_is_better=True)
    np.testing.assert_allclose(statistic, [case["statistic"][name] for name in names])
    np.testing.assert_array_equal(found, [case["rank"][name] for name in names])


def test_the_ideal_and_the_worst_case_of_the_paper():
    """Its two extreme designs: A1 first on every case; and every order of the algorithms once."""
    rng = np.random.default_rng(0)
    ideal = np.stack([rng.uniform(low, low + 0.09, 50) for low in (0.9, 0.8, 0.7, 0.6, 0.5)])
    worst = np.array(list(permutations(np.linspace(0.8, 1, 5)))).T
    for values, mean_rank, sure in ((ideal, [1, 2, 3, 4, 5], 1.0), (worst, [3] * 5, None)):
        n = values.shape[1]
        found = ranking.rank_then_aggregate(values.T, higher_is_better=True)
        np.testing.assert_allclose(found, mean_rank)
        drawn = replicate(lambda w, v=values, n=n: w @ v.T / n, n)
        shares = ranking.rank_probabilities(ranking.settled(drawn), higher_is_better=True)
        apart, p = paired.permutation_tests(values[:, :, np.newaxis], lambda s, n=n: s[..., 0] / n)
        wins = ranking.significant_wins(apart, p)
        if sure:
            np.testing.assert_array_equal(shares, np.eye(5))
            assert wins.tolist() == [4, 3, 2, 1, 0]
        else:
            np.testing.assert_allclose(shares, 0.2, atol=0.02)
            assert wins.tolist() == [0] * 5


@given(hnp.arrays(float, st.integers(1, 6), elements=few), st.randoms())
def test_rounding_makes_no_rank(values, random):
    """Sums in another order differ in the last bits; ranks do not."""
    noise = np.array([1 + random.choice((-1, 0, 1)) * 2e-16 for _ in values])
    found = ranking.ranks(ranking.settled(values * noise), higher_is_better=True)
    np.testing.assert_array_equal(found, ranking.ranks(values, higher_is_better=True))


def test_settled_leaves_what_differs():
    values = np.array([[0.5, 0.5 + 1e-9, np.nan, 0.1 + 0.2], [0.3, np.inf, np.inf, 0.1]])
    found = ranking.settled(values)
    np.testing.assert_array_equal(found, values)


def literal_across(values, *, better) -> tuple[np.ndarray, np.ndarray]:
    """Mean rank and win rate by counting, for (D, E) with NaN where an entry is absent."""
    n_datasets, n = values.shape
    sign = 1 if better else -1
    everywhere = [e for e in range(n) if not any(np.isnan(values[d, e]) for d in range(n_datasets))]
    mean_rank, win_rate = np.full(n, np.nan), np.full(n, np.nan)
    for e in everywhere:
        places = []
        for d in range(n_datasets):
            apart = [sign * (values[d, o] - values[d, e]) for o in everywhere if o != e]
            places.append(1 + sum(a > 0 for a in apart) + sum(a == 0 for a in apart) / 2)
        mean_rank[e] = sum(places) / n_datasets
    for e in range(n):
        rates = []
        for d in range(n_datasets):
            there = [o for o in range(n) if o != e and not np.isnan(values[d, o])]
            if there and not np.isnan(values[d, e]):
                apart = [sign * (values[d, e] - values[d, o]) for o in there]
                rates.append(
                    (sum(a > 0 for a in apart) + sum(a == 0 for a in apart) / 2) / len(there)
                )
        if rates:
            win_rate[e] = sum(rates) / len(rates)
    return mean_rank, win_rate


@given(
    hnp.arrays(float, st.tuples(st.integers(1, 3), st.integers(1, 5)), elements=with_gaps),
    st.booleans(),
)
def test_mean_rank_and_win_rate_are_the_literal_ones(values, better):
    mean_rank, win_rate = literal_across(values, better=better)
    np.testing.assert_allclose(ranking.mean_rank_of(values, higher_is_better=better), mean_rank)
    np.testing.assert_allclose(ranking.mean_win_rate(values, higher_is_better=better), win_rate)
    many = np.stack((values, values), axis=1)  # as the bootstrap has them: (D, B, E)
    np.testing.assert_allclose(
        ranking.mean_win_rate(many, higher_is_better=better), np.stack((win_rate, win_rate))
    )
    np.testing.assert_allclose(
        ranking.mean_rank_of(many, higher_is_better=better), np.stack((mean_rank, mean_rank))
    )


def literal_front(quality, cost, *, better) -> list[bool]:
    sign = 1 if better else -1

    def dominates(a, b):
        gain, saving = sign * (quality[a] - quality[b]), cost[b] - cost[a]
        return gain >= 0 and saving >= 0 and (gain > 0 or saving > 0)

    known = [i for i in range(len(cost)) if not (np.isnan(quality[i]) or np.isnan(cost[i]))]
    return [
        i in known and not any(dominates(other, i) for other in known) for i in range(len(cost))
    ]


@given(
    hnp.arrays(float, st.tuples(st.just(2), st.integers(0, 8)), elements=with_gaps), st.booleans()
)
def test_the_pareto_front_is_the_literal_one(both, better):
    quality, cost = both
    found = ranking.pareto_front(quality, cost, higher_is_better=better)
    assert found.tolist() == literal_front(quality, cost, better=better)


def test_across_the_real_datasets():
    """PH2 and MADS share entries: win rates by hand, intervals from independent resamples."""
    ranked = standings(ROOT / "results")
    (across,) = (
        a for a in across_datasets(ranked) if (a.selection, a.status) == ("test", "verified")
    )
    names = [entry.name for entry in across.entries]
    assert {"otsu", "grabcut"} <= set(names)
    values = np.array([entry.values for entry in across.entries]).T
    mean_rank, win_rate = literal_across(values, better=True)
    np.testing.assert_allclose([e.mean_rank for e in across.entries], mean_rank)
    np.testing.assert_allclose([e.win_rate for e in across.entries], win_rate)
    assert sorted(win_rate, reverse=True) == win_rate.tolist()
    used = [s for s in ranked if s.dataset in across.measures and s.status == "verified"]
    drawn = []
    for i, s in enumerate(used):
        columns = [
            replicate(weighted_values(s.scores[n].table, [s.ranking.measure]), s.ranking.n_groups, seed=1 + i)[:, 0]
            if n in s.scores else np.full(10_000, np.nan)
            for n in names
        ]  # fmt: skip
        drawn.append(np.stack(columns, axis=1))
    rates = [
        literal_across(np.stack([d[b] for d in drawn]), better=True)[1]
        for b in range(0, 10_000, 50)
    ]
    fast = ranking.mean_win_rate(np.stack(drawn), higher_is_better=True)
    np.testing.assert_allclose(fast[::50], rates)
    for i, entry in enumerate(across.entries):
        np.testing.assert_allclose(entry.win_rate_ci95, np.quantile(fast[:, i], (0.025, 0.975)))


def test_one_dataset_is_none_across():
    assert across_datasets(standings(ROOT / "results", dataset="ph2")) == ()
