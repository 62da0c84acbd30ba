"""Published numbers that cannot be: every rule finds what breaks it, and no real number breaks one."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segbench.claims import RULES, Interval, lint, read_claims, share_of
from segbench.errors import SegbenchError

DATA = Path(__file__).parent / "data"


def claims_of(tmp_path, text):
    path = tmp_path / "claims.csv"
    path.write_text(text, encoding="utf-8")
    return read_claims(path)


def broken(tmp_path, text):
    return [finding.rule for finding in lint(claims_of(tmp_path, text).rows)]


# ------------------------------------------------------------------------------- reading


@pytest.mark.parametrize(
    ("text", "percent", "low", "high"),
    [
        (".89", False, 0.885, 0.895),
        ("0.890", False, 0.8895, 0.8905),
        ("89.1", True, 0.8905, 0.8915),
        ("89", True, 0.885, 0.895),
        ("0,89", False, 0.885, 0.895),
    ],
)
def test_a_written_number_is_an_interval(text, percent, low, high):
    found = Interval.of(text, percent=percent)
    assert (found.low, found.high) == (low, high)


def test_headers_are_read_however_they_are_written(tmp_path):
    text = "Data Set,Model,DSC (%),Std.,Jaccard,JACCARD_SD,Acc.,TPR,Specificity,PPV,# images,Averaging,Note\n"
    row = "PH2,U-Net,89.4,2.1,84.1,3,95,90,97 ± 1.5,n/a,40,mean over images,seen\n"
    claims = claims_of(
        tmp_path,
        text.replace("Data Set", "Dataset").replace(" (%)", "").replace("# images", "images") + row,
    )
    (claim,) = claims.rows
    assert claims.unread == ("Note",)
    assert (claim.data, claim.method, claim.n, claim.averaging) == ("PH2", "U-Net", 40, "images")
    assert claim.percent
    assert set(claim.values) == {"dice", "iou", "accuracy", "sensitivity", "specificity"}
    assert {q: (s.low, s.high) for q, s in claim.spreads.items()} == {
        "dice": (0.0205, 0.0215),
        "iou": (0.025, 0.035),
        "specificity": (0.0145, 0.0155),
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("data,method\nPH2,x\n", "no column of a measure"),
        ("dice,DSC\n.9,.9\n", "two columns for dice"),
        ("dice,n\nhigh,40\n.9,-3\n", "cells that are no number (1): line 2, dice: 'high'"),
        ("dice,n\n.9,some\n", "numbers of images that are none (1): line 2: 'some'"),
        ("dice,averaging\n.9,weighted\n", "averaging that is not known (1): line 2: 'weighted'"),
        ("dice,share\n.9,1.4\n", "shares that are none"),
        ("dice,n\n.9,200²\n", "numbers of images that are none (1): line 2: '200²'"),
        (
            "method,dice,iou\nunet,0,89,0,80\n",
            "rows with more cells than the header (1): line 2: 5",
        ),
        ('dice\n\n"9\n"\nhigh\n', "cells that are no number (1): line 5, dice: 'high'"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path, text, message):
    with pytest.raises(SegbenchError) as error:
        claims_of(tmp_path, text)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("text", "dice", "iou"),
    [
        ("dice,iou\n0.89,80.2%\n", 0.89, 0.802),  # a sign is of its own number
        ("dice,iou\n89.1%,.80\n", 0.891, 0.80),
        ("Dice (%),iou\n0.9,.80\n", 0.009, 0.80),
        ("dice,iou\n89.1 ± 3%,80.2\n", 0.891, 0.802),  # behind the spread it is of both
        ("dice,iou\n1.02,.95\n", 1.02, 0.95),  # beside a fraction, not per cent
        ("dice,iou\n1.02,1.01\n.9,.8\n", 1.02, 1.01),
        ("dice,iou\n89,1.5\n90,80\n", 0.89, 0.015),
        ("dice,iou\n89,.5\n90,80\n88,79\n", 0.89, 0.005),
        ("dice;iou\n0,89;0,80\n", 0.89, 0.80),
        ("dice\tiou\n0.89\t0.80\n", 0.89, 0.80),
    ],
)
def test_per_cent_or_fraction(tmp_path, text, dice, iou):
    claim = claims_of(tmp_path, text).rows[0]
    assert claim.values["dice"].middle == pytest.approx(dice, abs=1e-9)
    assert claim.values["iou"].middle == pytest.approx(iou, abs=1e-9)


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("dice\n0.89 ± 3%\n", 0.025, 0.035),
        ("dice\n89 ± 3\n", 0.025, 0.035),
        ("dice,sd\n0.89,3%\n", 0.025, 0.035),
        ("dice,sd\n0.89,.03\n", 0.025, 0.035),
        ("Dice ± SD\n0.89 ± .03\n", 0.025, 0.035),
        ("Dice (SD)\n0.89 (.03)\n", 0.025, 0.035),
        ("dice,SD (Dice)\n0.89,.03\n", 0.025, 0.035),
    ],
)
def test_spreads_are_in_the_unit_that_is_written(tmp_path, text, low, high):
    (claim,) = claims_of(tmp_path, text).rows
    found = claim.spreads["dice"]
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-9)


def test_lines_are_those_of_the_file(tmp_path):
    text = 'method,dice,iou\n\n\n"two\nlines",.9,.8\nunet,.89,.95\n'
    assert [claim.line for claim in claims_of(tmp_path, text).rows] == [4, 6]


def test_shares():
    assert share_of("32%") == Interval(0.315, 0.325, "32")
    assert share_of(".32") == Interval(0.315, 0.325, ".32")
    with pytest.raises(SegbenchError, match="expected a share"):
        share_of("32")


# ------------------------------------------------------------------------------- each rule

ONE_OF_EACH = {
    "range": "dice\n103\n",
    "iou-at-most-dice": "iou,dice\n.909,.824\n",
    "iou-at-least": "iou,dice\n.70,.90\n",
    "pooled-dice": "iou,dice,averaging\n.80,.90,pooled\n",
    "pooled-precision-recall": "dice,precision,recall,averaging\n.80,.90,.90,pooled\n",
    "mean-precision-recall": "dice,precision,recall,averaging\n.90,.80,.90,images\n",
    "iou-at-most-precision": "iou,precision,averaging\n.80,.70,images\n",
    "iou-at-most-recall": "iou,recall,averaging\n.80,.70,images\n",
    "iou-at-most-accuracy": "iou,accuracy\n.90,.80\n",
    "accuracy-of-parts": "accuracy,sensitivity,specificity,averaging\n.97,.90,.95,dataset\n",
    "accuracy-share-iou": "accuracy,iou,share,averaging\n.99,.80,.30,dataset\n",
    "accuracy-share-dice": "accuracy,dice,share,averaging\n.70,.95,.30,dataset\n",
    "spread": "dice,sd\n.90,.50\n",
}


def test_every_rule_has_a_case():
    assert [rule.key for rule in RULES] == list(ONE_OF_EACH)


@pytest.mark.parametrize("key", ONE_OF_EACH)
def test_a_rule_finds_what_breaks_it(tmp_path, key):
    assert broken(tmp_path, ONE_OF_EACH[key]) == [key]


@pytest.mark.parametrize(
    "text",
    [
        "iou,dice\n.90,.90\n",  # .895 to .905 both
        "iou,dice\n.901,.90\n",  # .9005 and .905
        "iou,dice\n.818,.90\n",  # .8182 = .9 / 1.1
        "iou,dice,averaging\n.82,.90,pooled\n",
        "iou,dice\n0,0\n",
        "iou,dice\n1.0,1.0\n",
        "dice,sd\n.50,.70\n",  # two values: 0 and 1
        "dice,sd,n,averaging\n.50,.50,100,images\n",
        "accuracy,sensitivity,specificity,share,averaging\n.935,.90,.95,.30,dataset\n",
        "iou,dice\n.80,\n",
        "accuracy,iou,share,averaging\n.94,.80,.30,\n",  # the share says nothing of unknown averages
    ],
)
def test_what_can_be_is_not_found(tmp_path, text):
    assert broken(tmp_path, text) == []


def test_the_spread_of_n_images(tmp_path):
    row = "dice,sd,n,averaging\n.500,.520,{},images\n"
    assert broken(tmp_path, row.format(100)) == ["spread"]  # at most .5025
    assert broken(tmp_path, row.format(10)) == []  # at most .527
    assert broken(tmp_path, "dice,sd,n,averaging\n.5,.1,1,images\n") == ["spread"]


def test_a_share_given_per_dataset_is_used(tmp_path, segbench):
    path = tmp_path / "claims.csv"
    path.write_text("data,accuracy,iou,averaging\nPH2,.99,.80,dataset\n")
    assert segbench("lint-claims", path).code == 0
    ran = segbench("lint-claims", path, "--share", "ph2=.30", "--json")
    assert ran.code == 1
    assert "0.3000 of the pixels are foreground" in json.loads(ran.out)["findings"][0]["reason"]
    assert segbench("lint-claims", path, "--share", ".30").code == 2


def test_a_share_measured_on_a_prepared_dataset(tmp_path, segbench, synthetic):
    path = tmp_path / "claims.csv"
    path.write_text("data,accuracy,iou,averaging\nsynthetic-lesions,.999,.50,dataset\n")
    ran = segbench("lint-claims", path, "--shares-from", "test", "--data", synthetic, "--json")
    assert ran.code == 1, ran.err
    (finding,) = json.loads(ran.out)["findings"]
    assert finding["rule"] == "accuracy-share-iou"


# ------------------------------------------------------------------------ what was published


def test_the_published_table_can_be(segbench):
    ran = segbench("lint-claims", DATA / "published.csv")
    assert ran.code == 0, ran.out
    assert "nothing that cannot be (11 rows" in ran.out


def test_the_students_segnet_cannot_be(segbench):
    ran = segbench("lint-claims", DATA / "student_portfolio.csv", "--json")
    assert ran.code == 1
    (finding,) = json.loads(ran.out)["findings"]
    assert (finding["line"], finding["columns"]) == (2, ["Jaccard", "Dice"])
    assert finding["reason"] == "Jaccard .909 is over Dice .824, however they were rounded"
    ran = segbench("lint-claims", DATA / "student_portfolio.csv")
    assert ran.code == 1
    assert "1 of 1 rows cannot be" in ran.out


def test_the_rules_are_listed_with_their_proofs(segbench):
    ran = segbench("lint-claims", "--json")
    assert [rule["rule"] for rule in json.loads(ran.out)] == [rule.key for rule in RULES]
    assert all(rule["proof"] for rule in json.loads(ran.out))


# ------------------------------------------------------------- numbers that were really computed


def ratio(numerator, denominator):
    return np.divide(
        numerator, denominator, out=np.full(len(numerator), np.nan), where=denominator > 0
    )


def computed(masks):
    """The measures of pairs of masks, (n, values), and their pixels."""
    tp, fp, fn, tn = masks.T.astype(float)
    none = tp + fp + fn == 0
    values = {
        "dice": ratio(2 * tp, 2 * tp + fp + fn),
        "iou": ratio(tp, tp + fp + fn),
        "accuracy": ratio(tp + tn, tp + fp + fn + tn),
        "sensitivity": ratio(tp, tp + fn),
        "specificity": ratio(tn, tn + fp),
        "precision": ratio(tp, tp + fp),
    }
    for key in ("sensitivity", "precision"):  # the worst value where only one of the masks is empty
        values[key] = np.where(np.isnan(values[key]) & ~none, 0, values[key])
    return values


def line(values, digits, *, percent, extra):
    out = io.StringIO()
    writer = csv.writer(out)
    scale = 100 if percent else 1
    header, cells = [], []
    for key, (mean, spread) in values.items():
        header += [key, f"{key} sd"]
        cells += [
            "" if math.isnan(v) else f"{v * scale:.{digits}f}" + "%" * percent
            for v in (mean, spread)
        ]
    writer.writerow([*header, *extra])
    writer.writerow([*cells, *extra.values()])
    return out.getvalue()


pixels = st.lists(
    st.tuples(*[st.integers(0, 60) | st.just(0)] * 4).filter(lambda counts: sum(counts) > 0),
    min_size=1,
    max_size=7,
)


@settings(max_examples=200, deadline=None)
@given(
    counts=pixels,
    written=st.tuples(st.integers(1, 4), st.booleans()),
    sample=st.booleans(),
    averaging=st.sampled_from(["images", "dataset", ""]),
)
def test_numbers_of_real_masks_are_never_found(
    tmp_path_factory, counts, written, sample, averaging
):
    digits, percent = written
    counts = np.array(counts)
    shown, extra = {}, {"averaging": averaging, "n": len(counts)}
    if averaging == "dataset":
        share = (counts[:, 0] + counts[:, 2]).sum() / counts.sum()
        extra["share"] = f"{share:.{digits}f}"
        for key, value in computed(counts.sum(axis=0, keepdims=True)).items():
            shown[key] = (value[0], math.nan)
    else:
        for key, value in computed(counts).items():
            defined = value[~np.isnan(value)]
            if key in ("dice", "iou", "sensitivity", "precision"):
                defined = value[~np.isnan(computed(counts)["dice"])]
            spread = (
                defined.std(ddof=1)
                if sample and len(defined) > 1
                else defined.std()
                if len(defined)
                else math.nan
            )
            if sample and len(defined) != len(counts):
                spread = math.nan  # n is not the number of values
            shown[key] = (defined.mean() if len(defined) else math.nan, spread)
    path = tmp_path_factory.getbasetemp() / "real.csv"
    path.write_text(line(shown, digits, percent=percent, extra=extra))
    assert lint(read_claims(path).rows) == []
