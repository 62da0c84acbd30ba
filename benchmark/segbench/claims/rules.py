"""What published numbers cannot be: one literal table of rules, each with its proof in a line.

All means of a row are taken to run over the same images, with the same rule for empty masks. Ratios
are of one object against the rest; t are pixels found, p predicted, r in the reference, N all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from segbench.claims.claim import Averaging, Claim, Interval, Quantity

SLACK = 1e-9
"""Of comparisons: far below any rounding, far above that of floating point."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that cannot be.

    Attributes:
        line: Of the file.
        columns: The columns that do not go together.
        rule: The key of the rule that is broken.
        reason: In words and numbers.
        data: The dataset of the row.
        method: The method of the row.
    """

    line: int
    columns: tuple[str, ...]
    rule: str
    reason: str
    data: str
    method: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A row of the table.

    Attributes:
        key: Its name.
        needs: The measures that it looks at; none: each measure alone.
        averagings: For which averages it holds; "" is "not said".
        says: What must hold.
        proof: Why.
        reasons: What is wrong with a claim that has all of `needs`, if anything.
    """

    key: str
    needs: tuple[Quantity, ...]
    averagings: tuple[Averaging, ...]
    says: str
    proof: str
    reasons: Callable[[Claim], Iterator[str]]


ANY: tuple[Averaging, ...] = ("images", "dataset", "")
POOLED: tuple[Averaging, ...] = ("dataset",)


def lint(claims: Sequence[Claim]) -> list[Finding]:
    """Everything in the claims that cannot be, by line."""
    return [
        Finding(
            line=claim.line,
            columns=tuple(claim.columns[q] for q in seen.values),
            rule=rule.key,
            reason=reason,
            data=claim.data,
            method=claim.method,
        )
        for claim in claims
        for rule in RULES
        if claim.averaging in rule.averagings
        for seen in _seen_by(rule, claim)
        for reason in rule.reasons(seen)
    ]


def _seen_by(rule: Rule, claim: Claim) -> Iterator[Claim]:
    """The claim with only what the rule looks at; each measure alone where it needs none."""
    alone: list[tuple[Quantity, ...]] = [(quantity,) for quantity in claim.values]
    parts = [rule.needs] if rule.needs else alone
    for part in parts:
        if all(quantity in claim.values for quantity in part):
            yield replace(claim, values={quantity: claim.values[quantity] for quantity in part})


def iou_of_dice(dice: float) -> float:
    """J = D / (2 - D), of one pair of masks or of pooled pixels."""
    return dice / (2 - dice)


def dice_of_iou(iou: float) -> float:
    """D = 2 J / (1 + J), its inverse."""
    return 2 * iou / (1 + iou)


def _harmonic(a: float, b: float) -> float:
    return 2 * a * b / (a + b) if a + b else 0.0


def _values(claim: Claim, *wanted: Quantity) -> list[Interval]:
    return [claim.values[q].clipped() for q in wanted]


def _below(low: float, high: float) -> bool:
    return high < low - SLACK


def _span(low: float, high: float) -> str:
    return f"{low:.4f}" if abs(high - low) < SLACK else f"{low:.4f} to {high:.4f}"


def _out_of_range(claim: Claim) -> Iterator[str]:
    for quantity, value in claim.values.items():
        if value.low > 1 + SLACK:
            yield f"{claim.columns[quantity]} {value.text} is over 1"


def _at_most(small: Quantity, large: Quantity) -> Callable[[Claim], Iterator[str]]:
    def reasons(claim: Claim) -> Iterator[str]:
        a, b = _values(claim, small, large)
        if _below(a.low, b.high):
            yield (
                f"{claim.columns[small]} {a.text} is over {claim.columns[large]} {b.text}, "
                f"however they were rounded"
            )

    return reasons


def _too_low_iou(claim: Claim) -> Iterator[str]:
    dice, iou = _values(claim, "dice", "iou")
    least = iou_of_dice(dice.low)
    if _below(least, iou.high):
        yield (
            f"{claim.columns['iou']} {iou.text} is too low for {claim.columns['dice']} "
            f"{dice.text}: at least D/(2-D) = {least:.4f}"
        )


def _pooled_dice(claim: Claim) -> Iterator[str]:
    dice, iou = _values(claim, "dice", "iou")
    low, high = dice_of_iou(iou.low), dice_of_iou(iou.high)
    if _below(low, dice.high) or _below(dice.low, high):
        yield (
            f"{claim.columns['dice']} {dice.text} is not 2J/(1+J) of {claim.columns['iou']} "
            f"{iou.text}, which is {_span(low, high)}"
        )


def _pooled_harmonic(claim: Claim) -> Iterator[str]:
    dice, precision, recall = _values(claim, "dice", "precision", "sensitivity")
    low, high = _harmonic(precision.low, recall.low), _harmonic(precision.high, recall.high)
    if _below(low, dice.high) or _below(dice.low, high):
        yield (
            f"{claim.columns['dice']} {dice.text} is not 2PR/(P+R) of precision "
            f"{precision.text} and recall {recall.text}, which is {_span(low, high)}"
        )


def _mean_harmonic(claim: Claim) -> Iterator[str]:
    dice, precision, recall = _values(claim, "dice", "precision", "sensitivity")
    most = _harmonic(precision.high, recall.high)
    if _below(dice.low, most):
        yield (
            f"{claim.columns['dice']} {dice.text} is over 2PR/(P+R) = {most:.4f} of the mean "
            f"precision {precision.text} and recall {recall.text}"
        )


def _accuracy_between(claim: Claim) -> Iterator[str]:
    accuracy, sensitivity, specificity = _values(claim, "accuracy", "sensitivity", "specificity")
    low = min(sensitivity.low, specificity.low)
    high = max(sensitivity.high, specificity.high)
    if claim.share is not None:
        ends = [
            share * sensitivity_ + (1 - share) * specificity_
            for share in (claim.share.low, claim.share.high)
            for sensitivity_ in (sensitivity.low, sensitivity.high)
            for specificity_ in (specificity.low, specificity.high)
        ]
        low, high = min(ends), max(ends)
    if _below(low, accuracy.high) or _below(accuracy.low, high):
        share = "" if claim.share is None else f" at a share of {claim.share.middle:.4f}"
        yield (
            f"{claim.columns['accuracy']} {accuracy.text} is not what sensitivity "
            f"{sensitivity.text} and specificity {specificity.text} make{share}: "
            f"{_span(low, high)}"
        )


def _accuracy_and_share(claim: Claim) -> Iterator[str]:
    if claim.share is None:
        return
    accuracy, iou = _values(claim, "accuracy", "iou")
    yield from _share_reasons(claim, accuracy, iou, claim.share, "iou")


def _accuracy_share_dice(claim: Claim) -> Iterator[str]:
    if claim.share is None:
        return
    accuracy, dice = _values(claim, "accuracy", "dice")
    iou = Interval(iou_of_dice(dice.low), iou_of_dice(dice.high), dice.text)
    yield from _share_reasons(claim, accuracy, iou, claim.share, "dice")


def _share_reasons(
    claim: Claim, accuracy: Interval, iou: Interval, share: Interval, of: Quantity
) -> Iterator[str]:
    low = 1 - share.high * (1 - iou.low) / iou.low if iou.low else -math.inf
    low = max(low, iou.low)
    high = 1 - share.low * (1 - iou.high)
    if _below(low, accuracy.high) or _below(accuracy.low, high):
        yield (
            f"{claim.columns['accuracy']} {accuracy.text} does not go with "
            f"{claim.columns[of]} {claim.values[of].text} where {share.middle:.4f} of the pixels "
            f"are foreground: {_span(max(low, 0.0), high)}"
        )


def _spread(claim: Claim) -> Iterator[str]:
    for quantity, spread in claim.spreads.items():
        if quantity not in claim.values:
            continue
        mean = claim.values[quantity].clipped()
        name = claim.columns[quantity]
        if claim.n == 1 and claim.averaging == "images":
            if spread.low > SLACK:
                yield f"{name}: one image has no spread of {spread.text}"
            continue
        nearest = min(max(0.5, mean.low), mean.high)
        n = claim.n if claim.n is not None and claim.averaging == "images" else 2
        most = math.sqrt(nearest * (1 - nearest) * n / (n - 1))
        if _below(spread.low, most):
            of = f"{n} values" if n != 2 else "any number of values"  # noqa: PLR2004
            yield (
                f"{name}: a spread of {spread.text} about a mean of {mean.text} is over "
                f"{most:.4f}, the most that {of} from 0 to 1 can have"
            )


RULES: tuple[Rule, ...] = (
    Rule(
        key="range",
        needs=(),
        averagings=ANY,
        says="every value is at most 1",
        proof="a part is no more than the whole",
        reasons=_out_of_range,
    ),
    Rule(
        key="iou-at-most-dice",
        needs=("iou", "dice"),
        averagings=ANY,
        says="J <= D",
        proof="D - J = J (1 - J) / (1 + J) >= 0 in every image, so in every mean and pooled",
        reasons=_at_most("iou", "dice"),
    ),
    Rule(
        key="iou-at-least",
        needs=("iou", "dice"),
        averagings=("images", ""),
        says="J >= D / (2 - D)",
        proof="J = D / (2 - D) in every image, a convex function of D: the mean of J is at least "
        "its value at the mean of D (Jensen); pooled they are equal",
        reasons=_too_low_iou,
    ),
    Rule(
        key="pooled-dice",
        needs=("dice", "iou"),
        averagings=POOLED,
        says="D = 2 J / (1 + J)",
        proof="pooled pixels are one pair of masks: D = 2t / (p + r), J = t / (p + r - t)",
        reasons=_pooled_dice,
    ),
    Rule(
        key="pooled-precision-recall",
        needs=("dice", "precision", "sensitivity"),
        averagings=POOLED,
        says="D = 2 P R / (P + R)",
        proof="P = t / p, R = t / r, D = 2t / (p + r)",
        reasons=_pooled_harmonic,
    ),
    Rule(
        key="mean-precision-recall",
        needs=("dice", "precision", "sensitivity"),
        averagings=("images",),
        says="D <= 2 P R / (P + R) of the means",
        proof="the harmonic mean is concave: the mean of D is at most its value at the mean P and "
        "R (Jensen)",
        reasons=_mean_harmonic,
    ),
    Rule(
        key="iou-at-most-precision",
        needs=("iou", "precision"),
        averagings=("images", "dataset"),
        says="J <= P",
        proof="t / (p + r - t) <= t / p, because t <= r",
        reasons=_at_most("iou", "precision"),
    ),
    Rule(
        key="iou-at-most-recall",
        needs=("iou", "sensitivity"),
        averagings=("images", "dataset"),
        says="J <= R",
        proof="t / (p + r - t) <= t / r, because t <= p",
        reasons=_at_most("iou", "sensitivity"),
    ),
    Rule(
        key="iou-at-most-accuracy",
        needs=("iou", "accuracy"),
        averagings=ANY,
        says="J <= accuracy",
        proof="both leave p + r - 2t pixels wrong; J counts them against p + r - t pixels, "
        "accuracy against all N, which are no fewer",
        reasons=_at_most("iou", "accuracy"),
    ),
    Rule(
        key="accuracy-of-parts",
        needs=("accuracy", "sensitivity", "specificity"),
        averagings=POOLED,
        says="accuracy = s R + (1 - s) specificity, s the foreground's share; between both without",
        proof="pixels right in the foreground are s R N, in the background (1 - s) specificity N",
        reasons=_accuracy_between,
    ),
    Rule(
        key="accuracy-share-iou",
        needs=("accuracy", "iou"),
        averagings=POOLED,
        says="1 - s (1 - J) / J <= accuracy <= 1 - s (1 - J), s the foreground's share",
        proof="errors e N = p + r - 2t, so J = t / (t + e N); t <= r = s N gives e <= s (1 - J) / J"
        ", and t + e N >= r gives e >= s (1 - J)",
        reasons=_accuracy_and_share,
    ),
    Rule(
        key="accuracy-share-dice",
        needs=("accuracy", "dice"),
        averagings=POOLED,
        says="the same with J = D / (2 - D)",
        proof="as above",
        reasons=_accuracy_share_dice,
    ),
    Rule(
        key="spread",
        needs=(),
        averagings=ANY,
        says="sd <= sqrt(m (1 - m)), with n - 1 in it sqrt(n / (n - 1)) times that; n = 2 unless "
        "the n images are what the spread is of",
        proof="x in [0, 1] has x^2 <= x, so the mean of squares is at most m and the variance at "
        "most m - m^2",
        reasons=_spread,
    ),
)
