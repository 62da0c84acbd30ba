"""The best threshold: found as by trying all, applied to other samples, never to those it saw."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import segbench as sb
from segbench.masks.prepared import open_prepared
from segbench.masks.submission import Arrays, open_submission
from segbench.measures import Options
from segbench.scoring.references import ReferencePolicy, reference_target
from segbench.scoring.scores import score_table
from segbench.scoring.tally import Policy
from segbench.scoring.target import Target, prepared_target
from segbench.scoring.threshold import choose
from segbench.statistics.bootstrap import weights

DATASET = "synthetic-lesions"


@pytest.fixture(scope="module")
def maps(synthetic, tmp_path_factory) -> dict[str, Path]:
    """Folders of soft maps by split; they are too low, so that the best threshold is under 0.5."""
    rng = np.random.default_rng(5)
    folders = {}
    for split in ("val", "test"):
        folders[split] = tmp_path_factory.mktemp(split)
        for sample in sb.load(DATASET, split, data=synthetic):
            small = rng.normal(np.where(sample.mask[::4, ::4] == 1, 0.6, -2.4), 1.0)
            height, width = sample.mask.shape
            logit = np.kron(small, np.ones((4, 4)))[:height, :width]
            p = (1 / (1 + np.exp(-logit))).astype(np.float32)
            np.savez_compressed(folders[split] / f"{sample.id}.npz", probabilities=p)
    return folders


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    """Intervals of scores are not what is tested here."""
    monkeypatch.setitem(score_table.__kwdefaults__, "n_resamples", 20)


def target_of(synthetic, split="val") -> Target:
    return prepared_target(open_prepared(DATASET, data=synthetic), split=split, fold=None)


@pytest.mark.parametrize(
    ("key", "over"),
    [("dice", "images"), ("iou", "dataset"), ("mcc", "images"), ("failure_rate", "images")],
)
def test_every_threshold_is_what_evaluate_gives_there(synthetic, maps, key, over):
    chosen = choose(
        target_of(synthetic), open_submission(maps["val"]), key=key, over=over, steps=20
    )
    assert [t for t, _ in chosen.curve] == [k / 20 for k in range(1, 20)]
    tried = {}
    for t, value in chosen.curve[::3]:
        result = sb.evaluate(
            maps["val"],
            dataset=DATASET,
            data=synthetic,
            split="val",
            policy=Policy(threshold=t),
            options=Options(surface=False),
        )
        assert value == pytest.approx(result.score(key, over=over).value, abs=1e-12), t
        tried[t] = value
    assert chosen.value == dict(chosen.curve)[chosen.threshold]
    optimum = max if key != "failure_rate" else min
    assert chosen.value == optimum(value for _, value in chosen.curve)


def test_the_interval_is_of_the_thresholds_best_in_resamples(synthetic, maps):
    target = target_of(synthetic)
    chosen = choose(target, open_submission(maps["val"]), steps=10)
    dice = []
    for k in range(1, 10):
        again = sb.evaluate(
            maps["val"],
            dataset=DATASET,
            data=synthetic,
            split="val",
            policy=Policy(threshold=k / 10),
            options=Options(surface=False),
        )
        dice.append(again.table.per_image(again.score("dice").measure))
    _, unit = np.unique([item.group for item in target.items], return_inverse=True)
    found = []
    for block in weights(int(unit.max()) + 1, n_resamples=10_000, seed=0):
        means = block[:, unit] @ np.array(dice).T / block[:, unit].sum(axis=1, keepdims=True)
        found.append((means.argmax(axis=1) + 1) / 10)
    assert chosen.ci95 == tuple(np.quantile(np.concatenate(found), (0.025, 0.975)))


def best(p, y, key="dice", **policy):
    """The best of ten thresholds of arrays, as if they were a validation split."""
    said = ReferencePolicy(means_255="ignore")
    target = replace(reference_target(y, policy=said), split="val")
    return choose(target, Arrays(p), key=key, steps=10, policy=Policy(**policy))


def test_of_equally_good_thresholds_the_nearest_to_a_half_is_taken_and_then_the_lower():
    y = {"a": np.array([[0, 0, 1, 1]])}
    assert best({"a": np.array([[0.05, 0.05, 0.95, 0.95]])}, y).threshold == 0.5
    assert best({"a": np.array([[0.05, 0.05, 0.25, 0.95]])}, y).threshold == 0.2
    assert best({"a": np.array([[0.05, 0.65, 0.95, 0.95]])}, y).threshold == 0.7
    p = {"a": np.array([[0.05, 0.55, 0.45, 0.95]])}  # 0.4 and 0.6 are not equal for Dice
    assert best(p, y, "accuracy").threshold in {0.4, 0.5}


def test_a_value_at_the_threshold_is_background():
    y = {"a": np.array([[0, 0, 1, 1]])}
    p = {"a": np.array([[0.3, 0.3, 0.35, 0.9]])}
    chosen = best(p, y)
    assert chosen.threshold == 0.3
    assert chosen.value == 1
    cut = sb.evaluate(p, references=y, policy=Policy(threshold=0.3))
    assert cut.score("dice").value == 1


def test_ignored_pixels_do_not_choose_and_missing_predictions_are_the_worst():
    y = {"a": np.array([[0, 1, 255, 255]]), "b": np.array([[0, 1, 0, 1]])}
    p = {"a": np.array([[0.1, 0.4, 0.9, 0.2]])}
    chosen = best(p, y, missing="worst")
    assert chosen.threshold == 0.3
    assert chosen.value == 0.5  # 1 and 0
    with pytest.raises(sb.SegbenchError, match="missing predictions"):
        best(p, y)


def run(segbench, synthetic, command, folder, *more):
    return segbench(
        command, "--predictions", folder, "--dataset", DATASET, "--data", synthetic, *more
    )


def test_chosen_on_val_and_applied_to_test(synthetic, maps, segbench, tmp_path):
    out = tmp_path / "threshold.json"
    ran = run(segbench, synthetic, "threshold", maps["val"], "--out", out)
    assert ran.code == 0, ran.err
    chosen = json.loads(out.read_text())
    assert 0.1 < chosen["threshold"] < 0.45
    assert chosen["value"] > chosen["value_at_half"]
    assert f"best threshold {chosen['threshold']:g}" in ran.out
    digest = open_prepared(DATASET, data=synthetic).digest("val")
    assert chosen["split_digest"] == digest
    scores = {}
    for name, options in {
        "half": [],
        "file": ["--threshold", out],
        "number": ["--threshold", chosen["threshold"]],
    }.items():
        ran = run(segbench, synthetic, "evaluate", maps["test"], "--no-surface", "--json", *options)
        assert ran.code == 0, ran.err
        found = [
            s
            for s in json.loads(ran.out)["scores"]
            if s["measure"] == "dice" and s["class"] == "lesion"
        ]
        scores[name] = next(s for s in found if s["over"] == "images")
    assert scores["file"]["value"] == scores["number"]["value"] > scores["half"]["value"]
    cut = f"|cut:{chosen['threshold']!r}"
    assert (
        f"{cut}|chosen:dice/images@{DATASET}@1/val#{digest[:6]}|v:" in scores["file"]["signature"]
    )
    assert f"{cut}|v:" in scores["number"]["signature"]


@pytest.fixture(scope="module")
def written(synthetic, maps, segbench, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("chosen") / "threshold.json"
    assert run(segbench, synthetic, "threshold", maps["val"], "--out", out).code == 0
    return out


def test_a_threshold_is_not_chosen_on_the_test_split(synthetic, maps, segbench):
    ran = run(segbench, synthetic, "threshold", maps["test"], "--split", "test")
    assert ran.code == 1
    assert "a threshold chosen on the samples that are scored flatters the score" in ran.err
    assert "--split val" in ran.err


def test_nor_applied_to_the_samples_it_was_chosen_on(synthetic, maps, segbench, written):
    ran = run(
        segbench, synthetic, "evaluate", maps["val"], "--split", "val", "--threshold", written
    )
    assert ran.code == 1
    assert "holds 8 of the 8 samples to be scored" in ran.err


def test_nor_to_the_same_samples_under_the_name_of_a_fold(synthetic, segbench, tmp_path):
    data = open_prepared(DATASET, data=synthetic)
    folder = tmp_path / "fold1"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for row in data.select("val", fold=0):
        np.save(folder / f"{row.id}.npy", rng.random(row.size))
    out = tmp_path / "threshold.json"
    ran = run(segbench, synthetic, "threshold", folder, "--fold", 0, "--out", out)
    assert ran.code == 0, ran.err
    assert json.loads(out.read_text())["split_digest"] == data.digest(fold=1)
    ran = run(segbench, synthetic, "evaluate", folder, "--fold", 1, "--threshold", out)
    assert ran.code == 1
    assert "fold0-val" in ran.err


def test_a_file_edited_to_hide_the_test_split_is_refused(
    synthetic, maps, segbench, written, tmp_path
):
    other = tmp_path / "edited.json"
    other.write_text(written.read_text().replace('"split": "val"', '"split": "test"'))
    ran = run(segbench, synthetic, "evaluate", maps["test"], "--threshold", other)
    assert ran.code == 1
    assert "a test split" in ran.err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1.5", (2, "expected a number from 0 to 1")),
        ("no.json", (1, "neither a number")),
        ("scores.json", (1, "not what `segbench threshold` writes")),
    ],
)
def test_what_is_no_threshold_is_refused(segbench, tmp_path, text, said):
    (tmp_path / "scores.json").write_text('{"schema_version": 1}')
    ran = segbench("evaluate", "--predictions", tmp_path, "--threshold", text, cwd=tmp_path)
    assert ran.code == said[0]
    assert said[1] in " ".join(ran.err.replace("│", " ").split())


def test_a_file_of_something_else_is_not_overwritten(synthetic, maps, segbench, tmp_path):
    place = tmp_path / "mine.json"
    place.write_text("{}")
    ran = run(segbench, synthetic, "threshold", maps["val"], "--out", place)
    assert ran.code == 1
    assert place.read_text() == "{}"
    ran = run(segbench, synthetic, "threshold", maps["val"], "--out", tmp_path)
    assert ran.code == 1
    assert "is a folder; expected a file to write" in ran.err


def test_masks_have_no_threshold(synthetic, segbench, written, tmp_path):
    for sample in sb.load(DATASET, "test", data=synthetic):
        np.save(tmp_path / f"{sample.id}.npy", sample.mask)
    ran = run(segbench, synthetic, "evaluate", tmp_path, "--threshold", written)
    assert ran.code == 1
    assert "are masks" in ran.err


def test_several_classes_have_no_threshold():
    y = {"a": np.array([[0, 1, 2]])}
    with pytest.raises(sb.SegbenchError, match=r"3 classes .* have no threshold"):
        best({"a": np.full((3, 1, 3), 1 / 3)}, y)


def test_a_measure_without_counts_is_refused(synthetic, maps, segbench):
    ran = run(segbench, synthetic, "threshold", maps["val"], "--measure", "hd95")
    assert ran.code == 1
    assert "such as dice" in ran.err


def test_two_channels_are_cut_as_one():
    y = {"a": np.array([[0, 0, 1, 1]])}
    p = np.array([[0.3, 0.2, 0.4, 0.45]])
    for threshold in (0.35, 0.5):
        one, two = (
            sb.evaluate({"a": array}, references=y, policy=Policy(threshold=threshold))
            .score("dice")
            .value
            for array in (p, np.stack((1 - p, p)))
        )
        assert one == two == (1 if threshold == 0.35 else 0)
    assert best({"a": np.stack((1 - p, p))}, y).threshold == 0.3


def test_two_channels_that_say_two_things_have_no_threshold():
    """The greater of them is defined; one probability is not."""
    y = {"a": np.array([[0, 1]])}
    p = {"a": np.array([[[0.40, 0.20]], [[0.45, 0.70]]])}
    assert sb.evaluate(p, references=y).score("recall").value == 1
    for look in (
        lambda: best(p, y),
        lambda: sb.evaluate(p, references=y, policy=Policy(threshold=0.3)),
        lambda: sb.evaluate(p, references=y, options=Options(soft=True)),
    ):
        with pytest.raises(sb.SegbenchError, match="two channels that do not sum to 1"):
            look()
