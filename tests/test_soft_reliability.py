"""The reliability diagram: its data are scikit-learn's, and it is a picture in real files."""

from __future__ import annotations

import csv
import json
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from PIL import Image
from sklearn.calibration import calibration_curve

import segbench as sb
from segbench.measures import Options
from segbench.report.reliability import reliability, write_reliability
from segbench.scoring.scores import score_table

NAMES = ["background", "lesion"]


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    """Of the scores, which are not what is tested here."""
    monkeypatch.setitem(score_table.__kwdefaults__, "n_resamples", 20)


def images(n: int = 7, seed: int = 0) -> tuple[dict, dict]:
    rng = np.random.default_rng(seed)
    p = {f"i{i}": rng.beta(0.5, 0.8, (12, 15)) for i in range(n)}
    y = {name: (rng.random(v.shape) < v**1.5).astype(np.uint8) for name, v in p.items()}
    for truth in y.values():
        truth[rng.random(truth.shape) < 0.05] = 255
    return p, y


def evaluated(p, y, **options) -> sb.Evaluation:
    options = Options(soft=True, surface=False, **options)
    policy = sb.ReferencePolicy(means_255="ignore")
    return sb.evaluate(
        p, references=y, class_names=NAMES, reference_policy=policy, options=options, jobs=1
    )


def pixels(p, y) -> tuple[np.ndarray, np.ndarray]:
    valid = np.concatenate([(y[i] != 255).ravel() for i in p])
    flat = (np.concatenate([side[i].ravel() for i in p])[valid] for side in (p, y))
    return tuple(flat)


def test_bins_are_those_of_scikit_learn_and_add_to_the_error():
    p, y = images()
    result = evaluated(p, y, bins=10)
    (diagram,) = reliability(result)
    values, truth = pixels(p, y)
    share, mean = calibration_curve(truth, values, n_bins=10)
    assert [one.share for one in diagram.bins] == pytest.approx(share.tolist(), abs=1e-12)
    assert [one.probability for one in diagram.bins] == pytest.approx(mean.tolist(), abs=1e-12)
    assert sum(one.pixels for one in diagram.bins) == len(values)
    error = sum(one.pixels * abs(one.gap) for one in diagram.bins) / len(values)
    assert diagram.error.value == pytest.approx(error, abs=1e-12)
    assert diagram.error is result.score("ece", over="dataset") or diagram.error == result.score(
        "ece", over="dataset"
    )
    for k, one in enumerate(diagram.bins):
        assert (one.low, one.high) == (k / 10, (k + 1) / 10)
        assert one.share_low < one.share < one.share_high


def test_bins_of_equal_mass_hold_as_many_pixels():
    p, y = images(seed=1)
    (diagram,) = reliability(evaluated(p, y, bins=6, binning="mass"))
    n = sum(one.pixels for one in diagram.bins)
    for one in diagram.bins:
        assert one.pixels == pytest.approx(n / 6, rel=0.05)  # levels are not torn apart
        assert np.isnan(one.low)
    values, truth = pixels(p, y)
    share, mean = calibration_curve(truth, values, n_bins=6, strategy="quantile")
    assert [one.share for one in diagram.bins] == pytest.approx(share.tolist(), abs=0.03)
    assert [one.probability for one in diagram.bins] == pytest.approx(mean.tolist(), abs=0.01)


def test_the_interval_of_a_bin_is_of_the_images_drawn():
    p, y = images(n=2, seed=2)
    result = evaluated(p, y, bins=3)
    (diagram,) = reliability(result)
    alone = [reliability(evaluated({i: p[i]}, {i: y[i]}, bins=3))[0].bins for i in p]
    for k, one in enumerate(diagram.bins):
        ends = sorted(bins[k].share for bins in alone)
        assert (one.share_low, one.share_high) == pytest.approx(
            ends
        )  # each drawn twice in a quarter
        assert np.isnan(alone[0][k].share_low)  # one image has no interval


@pytest.mark.parametrize("ending", [".png", ".svg"])
def test_the_command_writes_picture_and_data(segbench, tmp_path, ending):
    p, y = images()
    p["i0"] = np.where(p["i0"] > 0.6, 0.9, 0.05)
    for folder, arrays in (("p", p), ("y", y)):
        (tmp_path / folder).mkdir()
        for name, array in arrays.items():
            np.save(tmp_path / folder / f"{name}.npy", array)
    picture = tmp_path / f"diagram{ending}"
    options = ["--references", tmp_path / "y", "--classes", ",".join(NAMES), "--no-surface"]
    options += ["--references-255", "ignore"]
    ran = segbench(
        "evaluate",
        "--predictions",
        tmp_path / "p",
        *options,
        "--bins",
        "8",
        "--reliability",
        picture,
    )
    assert ran.code == 0, ran.err
    assert "Expected calibration error (8 bins of equal width)" in ran.out
    if ending == ".png":
        drawn = np.asarray(Image.open(picture).convert("L"))
        assert min(drawn.shape) > 300
        assert 0.5 < (drawn > 250).mean() < 0.99  # lines on white, nothing else
    else:
        text = " ".join(ET.parse(picture).getroot().itertext())  # noqa: S314  our own file
        assert "lesion: calibration error" in text
        assert "8 bins of equal width" in text
    data = json.loads(picture.with_suffix(".json").read_text())
    (diagram,) = data["classes"]
    assert diagram["signature"].startswith("ece|class:lesion|over:dataset|bins:8|binning:width|")
    assert data["interval"]["resamples"] == 10_000
    with picture.with_suffix(".csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [float(row["share"]) for row in rows] == [one["share"] for one in diagram["bins"]]
    low, high = diagram["ci95"]
    assert low <= diagram["ece"] <= high or diagram["ece"] < low  # resampling adds to an error


def test_empty_bins_are_said_and_drawn_as_nothing(tmp_path):
    p, y = images()
    tops = {name: np.where(v > 0.5, 0.97, 0.03) for name, v in p.items()}
    (diagram,) = reliability(evaluated(tops, y, bins=10))
    assert [one.pixels > 0 for one in diagram.bins] == [True, *[False] * 8, True]
    assert np.isnan(diagram.bins[4].share)
    write_reliability(evaluated(tops, y, bins=10), tmp_path / "r.svg")
    row = (tmp_path / "r.csv").read_text().splitlines()[5]
    assert row == "lesion,0.4,0.5,0,,,,,"


def test_several_classes_have_a_panel_each(tmp_path):
    rng = np.random.default_rng(0)
    y = {f"i{i}": rng.integers(0, 5, (9, 9)) for i in range(3)}
    p = {name: rng.dirichlet(np.ones(5), (9, 9)).transpose(2, 0, 1) for name in y}
    names = ["background", "a", "b", "c", "d"]
    result = sb.evaluate(
        p, references=y, class_names=names, options=Options(soft=True, surface=False)
    )
    assert [diagram.label for diagram in reliability(result)] == names[1:]
    write_reliability(result, tmp_path / "r.svg")
    text = " ".join(ET.parse(tmp_path / "r.svg").getroot().itertext())  # noqa: S314
    assert text.count("calibration error") == 4


def test_another_ending_is_refused_before_the_work(segbench, tmp_path):
    ran = segbench("evaluate", "--predictions", tmp_path / "none", "--reliability", "r.pdf")
    assert ran.code == 1
    assert "ends in .svg or .png" in ran.err
