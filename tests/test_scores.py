"""Scores against scikit-learn, against literal definitions, and the rules of the contract."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats
from sklearn import metrics

import segbench
from segbench import measures
from segbench.confusion import Counts, worst_counts, worst_map
from segbench.kernels import joint_histogram
from segbench.measures import (
    DEFINITIONS,
    TABLE,
    Measure,
    definition_of,
    grid,
    legal_pairs,
    overlap,
    parse,
)
from segbench.measures.table import EMPTY_CHOICES
from segbench.scoring.scores import Table, _Tail, score_table
from segbench.scoring.tally import Policy
from segbench.statistics import bootstrap

label_maps = hnp.arrays(np.uint8, (6, 7), elements=st.integers(0, 255))
CLASSES = [f"c{i}" for i in range(19)]


def random_maps(seed: int, n: int, *, classes: int = 19) -> tuple[list, list]:
    """Blocky label maps with an ignored region, and predictions that agree in part."""
    rng = np.random.default_rng(seed)
    references, predictions = [], []
    for _ in range(n):
        blocks = rng.integers(0, classes, (6, 8), dtype=np.uint8)
        reference = np.kron(blocks, np.ones((8, 8), np.uint8))
        noise = rng.random(reference.shape) < 0.3
        prediction = np.where(noise, rng.integers(0, classes, reference.shape), reference)
        reference[rng.random(reference.shape) < 0.1] = 255
        references.append(reference)
        predictions.append(prediction.astype(np.uint8))
    return references, predictions


def from_sklearn(  # noqa: C901, PLR0911, PLR0912  a literal table
    key: str, truth: np.ndarray, guess: np.ndarray, label: int | None
) -> float:
    """The literal outside definition of a measure on flat arrays of valid pixels."""
    one = (truth == label, guess == label)
    match key, label:
        case "iou", _:
            return metrics.jaccard_score(*one)
        case "dice", _:
            return metrics.f1_score(*one)
        case "precision", _:
            return metrics.precision_score(*one)
        case "recall", _:
            return metrics.recall_score(*one)
        case "specificity", _:
            return metrics.recall_score(~one[0], ~one[1])
        case "balanced_accuracy", _:
            return metrics.balanced_accuracy_score(*one)
        case "accuracy", None:
            return metrics.accuracy_score(truth, guess)
        case "accuracy", _:
            return metrics.accuracy_score(*one)
        case "mcc", None:
            return metrics.matthews_corrcoef(truth, guess)
        case "mcc", _:
            return metrics.matthews_corrcoef(*one)
        case "kappa", None:
            return metrics.cohen_kappa_score(truth, guess)
        case "kappa", _:
            return metrics.cohen_kappa_score(*one)
        case "fwiou", None:
            present = np.unique(truth)
            ious = metrics.jaccard_score(truth, guess, labels=present, average=None)
            return float(np.sum(ious * [np.mean(truth == p) for p in present]))
    raise AssertionError(key)


BY_SKLEARN = [
    d.key
    for d in TABLE
    if d.key != "volume_similarity"
    and d.at_threshold is None
    and not d.of_shape
    and not d.of_probabilities
]


@pytest.mark.parametrize("key", BY_SKLEARN)
def test_pooled_and_per_image_equal_scikit_learn(key):
    references, predictions = random_maps(7, 3)
    result = segbench.evaluate(predictions, references=references, class_names=CLASSES)
    valid = [(r[r != 255], p[r != 255]) for r, p in zip(references, predictions, strict=True)]
    truth, guess = (np.concatenate(side) for side in zip(*valid, strict=True))
    labels = [0, 7, 18] if DEFINITIONS[key].per_class else []
    labels += [None] if DEFINITIONS[key].whole_map else []
    for label in labels:
        name = "all" if label is None else CLASSES[label]
        pooled = result.score(key, name, "dataset").value
        assert pooled == pytest.approx(from_sklearn(key, truth, guess, label), abs=1e-12)
        images = result.table.per_image(result.score(key, name).measure)
        expected = [from_sklearn(key, *pair, label) for pair in valid]
        np.testing.assert_allclose(images, expected, rtol=0, atol=1e-12)
        assert result.score(key, name).value == pytest.approx(np.mean(expected), abs=1e-12)


def test_means_over_classes_equal_scikit_learn():
    references, predictions = random_maps(3, 2)
    result = segbench.evaluate(predictions, references=references, class_names=CLASSES)
    truth, guess = (np.concatenate([m.ravel() for m in maps]) for maps in (references, predictions))
    truth, guess = truth[truth != 255], guess[truth != 255]
    macro = metrics.jaccard_score(truth, guess, average="macro")
    assert result.score("iou", "all", "classes").value == pytest.approx(macro, abs=1e-12)


@given(label_maps, label_maps)
def test_joint_histogram_is_the_count_of_pairs(reference, prediction):
    expected = np.zeros((256, 256), np.int64)
    for pair in zip(reference.ravel(), prediction.ravel(), strict=True):
        expected[pair] += 1
    np.testing.assert_array_equal(joint_histogram(reference, prediction), expected)


def test_joint_histogram_refuses_other_shapes_and_types():
    with pytest.raises(ValueError, match="differ"):
        joint_histogram(np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8))
    with pytest.raises(ValueError, match="expected uint8"):
        joint_histogram(np.zeros((2, 3), np.int64), np.zeros((2, 3), np.int64))


small_maps = hnp.arrays(np.uint8, (4, 4), elements=st.integers(0, 2))


@given(st.lists(st.tuples(small_maps, small_maps), min_size=2, max_size=4))
def test_counts_add(pairs):
    parts = [Counts.of(joint_histogram(r, p)[:3, :3]) for r, p in pairs]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    whole = Counts.of(sum(joint_histogram(r, p)[:3, :3] for r, p in pairs))
    for a, b in zip(total, whole, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(total.total, 16 * len(pairs))


def binary(reference: int, prediction: int, both: int, of: int = 100) -> Counts:
    """Counts of the class alone, from areas."""
    counts = (both, prediction - both, reference - both, of - reference - prediction + both)
    return Counts(*(np.array([c]) for c in counts))


BOTH_EMPTY, MISSED, FALSE_ALARM = binary(0, 0, 0), binary(9, 0, 0), binary(0, 9, 0)
OBJECT = [d for d in TABLE if d.family == "object"]


@pytest.mark.parametrize("definition", OBJECT, ids=lambda d: d.key)
@pytest.mark.parametrize("empty", ["nan", "1", "0"])
def test_empty_rule_of_objects(definition, empty):
    measure = Measure(key=definition.key, label="x", over="images", empty=empty)
    (both,) = measures.values(measure, BOTH_EMPTY)
    # an empty IoU of 1 is no failure, one of 0 is
    expected = float(empty) if definition.higher_is_better else 1 - float(empty)
    assert math.isnan(both) if empty == "nan" else both == expected
    assert measures.values(measure, MISSED) == definition.worst
    assert measures.values(measure, FALSE_ALARM) == definition.worst


def test_an_absent_class_is_an_agreement():
    def value(key: str, counts: Counts) -> float:
        return measures.values(Measure(key=key, label="x", over="images"), counts)[0]

    assert value("accuracy", BOTH_EMPTY) == 1
    assert value("accuracy", FALSE_ALARM) == 0.91
    assert value("specificity", BOTH_EMPTY) == 1
    assert value("specificity", FALSE_ALARM) == 0.91
    assert value("specificity", binary(100, 100, 100)) != value("specificity", BOTH_EMPTY)
    for key in ("mcc", "kappa"):
        assert math.isnan(value(key, BOTH_EMPTY)), key
        assert math.isnan(value(key, binary(100, 100, 100))), key
        assert value(key, MISSED) == 0, key
        assert value(key, FALSE_ALARM) == 0, key
        assert value(key, binary(9, 9, 9)) == 1, key


@given(small_maps, small_maps)
def test_mcc_and_kappa_of_a_class_are_those_of_the_two_class_map(reference, prediction):
    counts = Counts.of(joint_histogram(reference & 1, prediction & 1)[:2, :2])
    for key in ("mcc", "kappa", "accuracy"):
        definition = DEFINITIONS[key]
        per_class, whole = definition.per_class(counts), definition.whole_map(counts)
        np.testing.assert_allclose(per_class, np.repeat(whole, 2), atol=1e-12)


@pytest.mark.parametrize("key", [d.key for d in TABLE if d.per_class and not d.at_threshold])
def test_formulas_hold_beyond_32_bits(key):
    """Ratios do not change with the number of pixels: nothing overflows, nothing is rounded to it."""
    small = Counts(*np.array([[30, 45], [7, 18], [18, 7], [45, 30]]))
    large = Counts(*(n * 2**46 for n in small))
    formula = DEFINITIONS[key].per_class
    np.testing.assert_allclose(formula(large), formula(small), rtol=1e-12)
    if DEFINITIONS[key].whole_map:
        whole = DEFINITIONS[key].whole_map
        np.testing.assert_allclose(whole(large), whole(small), rtol=1e-12)


@given(small_maps)
def test_no_prediction_can_score_worse_than_a_missing_one(reference):
    pixels = np.bincount(reference.ravel(), minlength=3)
    worst = worst_counts(pixels)
    rng = np.random.default_rng(0)
    for _ in range(5):
        guess = rng.integers(0, 3, reference.shape).astype(np.uint8)
        counts = Counts.of(joint_histogram(reference, guess)[:3, :3])
        assert (counts.tp >= worst.tp).all()
        assert (counts.fp <= worst.fp).all()
        assert (counts.fn <= worst.fn).all()
    a_map = worst_map(pixels)
    assert a_map.tp.sum() == 0
    assert a_map.predicted.sum() == reference.size
    assert (a_map.tn >= 0).all()


KEYS = [*DEFINITIONS, "hd90", "hd99.5", "hd1"]
positive = st.floats(1e-6, 1e6)


@st.composite
def any_measure(draw) -> Measure:
    """A measure with any of the options that it takes; the rest are left to their defaults."""
    key = draw(st.sampled_from(KEYS))
    row = definition_of(key)
    names = ["lesion", "class 1", "Atypical_nevus-2.b"]
    over, label = draw(st.sampled_from(legal_pairs(row, names)))
    options = {"empty": draw(st.sampled_from(EMPTY_CHOICES[row.family]))}
    side = st.floats(1e-9, 1e9)
    spacing = draw(st.none() | st.tuples(side, side))
    possible = {
        "threshold": st.floats(0, 1),
        "boundary": st.sampled_from(["inner", "length"]),
        "rule": st.sampled_from(["max", "pooled"]),
        "dilation_ratio": st.floats(0, 1, exclude_min=True),
        "skeleton": st.sampled_from(["zhang", "lee"]),
        "connectivity": st.sampled_from([4, 8]),
        "spacing_mm": st.just(spacing),
        "bins": st.integers(1, 1000),
        "binning": st.sampled_from(["width", "mass"]),
        "clip": st.floats(1e-300, 0.1),
    }
    for name in row.options:
        if name == "tolerance":
            name = "tolerance_px" if spacing is None else "tolerance_mm"  # noqa: PLW2901
            possible[name] = st.floats(0, 1e6)
        if draw(st.booleans()) or name == "spacing_mm":
            options[name] = draw(possible[name])
    return Measure(key=key, label=label, over=over, **options)


@given(any_measure())
@settings(max_examples=500)
def test_parse_is_the_inverse_of_str(measure):
    assert parse(str(measure)) == measure


def test_options_stand_in_the_name():
    measure = Measure(key="nsd", label="a", over="images", spacing_mm=(0.5, 0.25), tolerance_mm=1)
    assert str(measure) == (
        "nsd|class:a|over:images|boundary:inner|spacing_mm:0.5x0.25|tolerance_mm:1|empty:nan"
    )
    assert str(Measure(key="hd95", label="a", over="worst10", rule="pooled")) == (
        "hd95|class:a|over:worst10|boundary:inner|rule:pooled|unit:px|empty:diagonal"
    )
    assert measure.title == "Normalised surface Dice (within 1 mm)"


def test_every_measure_of_the_grid_parses_back_and_is_there_once():
    found = grid(["background", "lesion"], background=0)
    assert len(set(found)) == len(found)
    assert [parse(str(m)) for m in found] == found
    legal = {(m.over, m.label) for m in found}
    assert legal == {
        ("images", "background"),
        ("images", "lesion"),
        ("worst10", "background"),
        ("worst10", "lesion"),
        ("median", "background"),
        ("median", "lesion"),
        ("dataset", "background"),
        ("dataset", "lesion"),
        ("classes", "all"),
        ("classes", "foreground"),
        ("images", "all"),
        ("dataset", "all"),
    }
    boundaries = {m.label for m in found if m.definition.of_shape}
    assert boundaries == {"lesion"}  # the background has no boundary of its own
    whole = {m.key for m in found if m.of_map()}
    assert whole == {"accuracy", "kappa", "fwiou", "mcc"}


@pytest.mark.parametrize(
    "text",
    [
        "dicee|class:x|over:images",
        "dice|over:images",
        "dice|class:x",
        "dice|class:x|over:pixels",
        "dice|class:x|over:images|empty:2",
        "dice|class:x|over:images|threshold:0.5",
        "dice|class:all|over:images",
        "fwiou|class:x|over:images",
        "thresholded_iou|class:x|over:dataset",
        "thresholded_iou|class:x|over:images|threshold:high",
        "dice|class:x|over:images|over:images",
        "dice|class:<b>|over:images",
        "dice|class:x|over:images|unit:px|unit:px",
        "hd|class:x|over:dataset",
        "hd|class:x|over:images|unit:mm",
        "hd|class:x|over:images|empty:1",
        "hd|class:x|over:images|spacing_mm:0.5",
        "hd|class:x|over:images|spacing_mm:0x1",
        "hd|class:x|over:images|boundary:outer",
        "hd|class:x|over:images|rule:max",
        "hd95|class:x|over:images|rule:mean",
        "hd100|class:x|over:images",
        "hd0|class:x|over:images",
        "nsd|class:x|over:images|tolerance_mm:1",
        "nsd|class:x|over:images|spacing_mm:1x1|tolerance_px:1",
        "nsd|class:x|over:images|tolerance_px:inf",
        "boundary_iou|class:x|over:images|dilation_ratio:0",
    ],
)
def test_parse_refuses_what_is_no_measure(text):
    with pytest.raises(segbench.SegbenchError):
        parse(text)


def test_the_signature_is_the_contracts():
    references, predictions = random_maps(1, 2)
    result = segbench.evaluate(predictions, references=references, class_names=CLASSES)
    score = result.score("dice", "c3")
    digest = result.digest
    assert score.signature == (
        f"dice|class:c3|over:images|empty:nan|ignore:255|data:arrays@0/all#{digest[:6]}"
        f"|v:{segbench.__version__}"
    )


def test_thresholded_iou_is_the_iou_or_nothing():
    truth = np.zeros((1, 10), np.uint8)
    truth[0, :5] = 1
    good, poor = truth.copy(), truth.copy()
    good[0, 0], poor[0, :2] = 0, 0  # IoU .8 and .6
    result = segbench.evaluate([good, poor], references=[truth, truth])
    assert result.score("thresholded_iou").value == 0.4
    assert "|threshold:0.65|" in result.score("thresholded_iou").signature


def test_missing_predictions_are_refused_or_the_worst():
    references, predictions = random_maps(2, 3, classes=2)
    references = [np.where(mask == 255, 0, mask) for mask in references]
    part = {"000000": predictions[0], "000002": predictions[2]}
    with pytest.raises(segbench.SegbenchError, match=r"000001[\s\S]*--missing worst"):
        segbench.evaluate(part, references=references)
    result = segbench.evaluate(part, references=references, policy=Policy(missing="worst"))
    whole = segbench.evaluate(predictions, references=references)
    assert result.n_missing == 1
    dice = result.table.per_image(result.score("dice").measure)
    assert dice[1] == 0
    expected = (whole.table.per_image(whole.score("dice").measure)[[0, 2]].sum()) / 3
    assert result.score("dice").value == pytest.approx(expected, abs=1e-15)
    assert result.score("mcc", "all").value < whole.score("mcc", "all").value
    assert result.table.per_image(result.score("kappa", "all").measure)[1] == -1
    assert result.score("iou", over="dataset").value < whole.score("iou", over="dataset").value
    assert "|missing:worst|" in result.score("dice").signature


def worst_tenth(values) -> float:
    """The mean of a tenth of the values, the lowest; each is cut in ten parts to have a tenth."""
    parts = np.repeat(np.sort(values), 10)
    return float(parts[: len(values)].mean())


def test_worst_tenth_and_median():
    references, predictions = random_maps(11, 23, classes=2)
    references = [np.where(mask == 255, 0, mask) for mask in references]
    result = segbench.evaluate(predictions, references=references)
    for key in ("dice", "iou"):
        values = result.table.per_image(result.score(key).measure)
        worst, median = result.score(key, over="worst10"), result.score(key, over="median")
        assert worst.value == pytest.approx(worst_tenth(values), abs=1e-12)
        assert worst.ci95[0] < worst.value < worst.ci95[1]
        assert median.value == np.median(values)
        assert all(math.isnan(end) for end in median.ci95)  # no bootstrap interval of a median
        assert worst.n == median.n == 23
    hd = result.table.per_image(result.score("hd95").measure)
    assert result.score("hd95", over="worst10").value == pytest.approx(-worst_tenth(-hd), abs=1e-9)
    below = np.mean(result.table.per_image(result.score("iou").measure) < 0.65)
    assert result.score("failure_rate").value == below


# --- intervals ------------------------------------------------------------------------------------


def test_bootstrap_is_the_literal_one():
    """Resample groups one by one, pool their images, and compute each measure from scratch."""
    references, predictions = random_maps(5, 8, classes=3)
    names = ["background", "a", "b"]
    result = segbench.evaluate(predictions, references=references, class_names=names)
    groups = np.array(["g0", "g0", "g1", "g2", "g2", "g2", "g3", "g4"])
    table = result.table.take(np.ones(8, dtype=bool))
    object.__setattr__(table, "groups", groups)
    wanted = [
        parse("dice|class:a|over:images"),
        parse("iou|class:b|over:dataset"),
        parse("iou|class:all|over:classes"),
        parse("kappa|class:all|over:dataset"),
        parse("dice|class:a|over:worst10"),
    ]
    scores = score_table(table, wanted, dict.fromkeys(wanted, ""), n_resamples=200, seed=3)
    per_image = table.per_image(wanted[0])
    replicates = []
    for row in np.concatenate(list(bootstrap.weights(5, n_resamples=200, seed=3))):
        chosen = [
            i
            for unit, times in enumerate(row)
            for _ in range(int(times))
            for i in np.flatnonzero(groups == f"g{unit}")
        ]
        pooled = table.counts[np.array(chosen)].sum()
        by_class = overlap.iou(pooled)
        kappa = overlap.map_kappa(pooled)
        mean, worst = np.mean(per_image[chosen]), worst_tenth(per_image[chosen])
        replicates.append([mean, by_class[2], by_class.mean(), kappa, worst])
    low, high = np.quantile(np.array(replicates), (0.025, 0.975), axis=0)
    np.testing.assert_allclose([s.ci95[0] for s in scores], low, atol=1e-12)
    np.testing.assert_allclose([s.ci95[1] for s in scores], high, atol=1e-12)


@pytest.mark.parametrize("n_images", [30, 60])
@pytest.mark.parametrize("perfect", [True, False])
def test_a_share_of_all_or_nothing_has_the_exact_interval(n_images, perfect):
    """Golden: scipy's binomtest(0 or 30, 30).proportion_ci(method="exact")."""
    mask = np.array([[0, 1]], np.uint8)
    masks = [mask] * n_images
    result = segbench.evaluate(masks if perfect else [1 - mask] * n_images, references=masks)
    table = result.table.take(np.ones(n_images, dtype=bool))
    object.__setattr__(table, "groups", np.array([f"g{i % 30}" for i in range(n_images)]))
    wanted = [
        parse("failure_rate|class:object|over:images|threshold:0.65"),
        parse("dice|class:object|over:images"),
    ]
    failed, dice = score_table(table, wanted, dict.fromkeys(wanted, ""), n_resamples=200)
    exact = stats.binomtest(0 if perfect else 30, 30).proportion_ci(method="exact")
    assert failed.value == (0 if perfect else 1)
    assert failed.ci95 == pytest.approx((exact.low, exact.high), abs=1e-12)
    assert failed.exact == ("of images" if n_images == 30 else "of groups with any")
    assert (failed.n, failed.n_groups) == (n_images, 30)
    assert dice.exact == ""  # no share: its replicates are its interval
    assert dice.ci95 == (dice.value, dice.value)


def test_a_share_between_keeps_the_bootstrap():
    mask = np.array([[0, 1]], np.uint8)
    result = segbench.evaluate([1 - mask] * 3 + [mask] * 27, references=[mask] * 30)
    failed = result.score("failure_rate")
    assert failed.value == 0.1
    assert failed.exact == ""
    assert failed.ci95 == (0, pytest.approx(0.2))


def test_under_five_groups_there_is_no_interval():
    references, predictions = random_maps(5, 4, classes=3)
    names = ["background", "a", "b"]
    result = segbench.evaluate(predictions, references=references, class_names=names)
    assert all(math.isnan(end) for score in result.scores for end in score.ci95)


def test_weights_draw_as_many_units_as_there_are_and_follow_the_seed():
    first = np.concatenate(list(bootstrap.weights(13, n_resamples=2500, seed=1)))
    again = np.concatenate(list(bootstrap.weights(13, n_resamples=2500, seed=1)))
    other = np.concatenate(list(bootstrap.weights(13, n_resamples=2500, seed=2)))
    assert first.shape == (2500, 13)
    assert (first.sum(axis=1) == 13).all()
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    # each unit is drawn once on average; 5 standard errors of a mean of 2500 binomials
    np.testing.assert_allclose(first.mean(axis=0), 1, atol=5 * math.sqrt((12 / 13) / 2500))


def test_undefined_values_leave_the_mean_and_are_counted():
    empty, full = np.zeros((4, 4), np.uint8), np.ones((4, 4), np.uint8)
    half = np.repeat([[0, 1]], 8, axis=0).reshape(4, 4).astype(np.uint8)
    result = segbench.evaluate([empty, half, full], references=[empty, half, half])
    dice = result.score("dice")
    assert dice.n == 2
    assert dice.value == pytest.approx((1 + 2 / 3) / 2)
    assert result.score("dice", over="dataset").n == 3
    assert list(result.subgroups["size"]) == ["empty", "small"]
    assert math.isnan(result.subgroups["size"]["empty"][0].ci95[0])


@pytest.mark.parametrize(
    ("n", "resamples"),
    [(1, 10_000), (20_000, 10_000), (100_000, 2000), (10**6, 1000), (10**8, 1000)],
)
def test_very_many_units_are_resampled_less_often(n, resamples):
    assert bootstrap.n_resamples_of(n) == resamples


def test_that_is_what_intervals_are_made_of(monkeypatch):
    rng = np.random.default_rng(0)
    counts = Counts.of(rng.integers(0, 100, (40, 2, 2)))
    groups = np.array([f"{i:02d}" for i in range(40)])
    table = Table(("background", "lesion"), 0, counts, counts, np.zeros(40, dtype=bool), groups)
    wanted = [parse("dice|class:lesion|over:images|empty:nan")]
    names = dict.fromkeys(wanted, "")
    few = score_table(table, wanted, names, n_resamples=1000)
    assert score_table(table, wanted, names)[0].ci95 != few[0].ci95
    monkeypatch.setattr(bootstrap, "MANY_DRAWS", 40_000)
    assert score_table(table, wanted, names)[0].ci95 == few[0].ci95


def test_the_worst_tenth_of_very_many():
    """Looked for where it must end, it is what sorting all of the drawn images gives."""
    rng = np.random.default_rng(0)
    n = 60_000
    values = rng.beta(5, 2, n)
    weight = rng.multinomial(n, np.full(n, 1 / n), size=2).astype(np.float64)
    weight[1, np.argsort(values)[: n // 5]] = 0  # the tenth ends far behind where it is looked for
    tail = _Tail.of(values, np.arange(n), higher_is_better=True)
    for drawn, found in zip(weight, tail.mean(weight), strict=True):
        ordered = np.sort(np.repeat(values, drawn.astype(int)))
        whole, part = divmod(len(ordered) / 10, 1)
        worst = ordered[: int(whole)].sum() + part * ordered[int(whole)]
        assert found == pytest.approx(worst / (len(ordered) / 10), rel=1e-12)
