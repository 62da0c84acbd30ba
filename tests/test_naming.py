"""How files carry ids, on both sides alike: suffix, ending, pattern, folders; maps; and the hints."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import segbench as sb
from segbench import ReferencePolicy
from segbench.masks.forms import Form
from segbench.masks.near_ids import naming_advice
from segbench.masks.submission import open_submission
from segbench.masks.value_map import map_text, parse_map
from segbench.scoring.references import reference_target

TRUTH = np.array([[0, 1, 1], [0, 0, 1]], np.uint8)


def save(folder: Path, *names: str, array: np.ndarray = TRUTH) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(array).save(path)
    return folder


NAMED = {
    "suffix": (["a_gt.png", "b_gt.png"], {"suffix": "_gt"}, "ab"),
    "ending": (["a.png", "a.bmp", "b.png"], {"ending": "png"}, "ab"),
    "pattern": (
        ["task-10-tag-0.png", "task-11-tag-0.png"], {"ids": r"task-(\d+)"}, ["10", "11"],
    ),
    "pattern with a name": (["x/07/m.png"], {"ids": r"(x)/(?P<id>\d+)/"}, ["07"]),
    "pattern without groups": (["im7_mask.png"], {"ids": r"im\d+"}, ["im7"]),
    "pattern that chooses": (
        ["IMD1/IMD1_img/IMD1.bmp", "IMD1/IMD1_lesion/IMD1_lesion.bmp", "IMD1/roi/r1.bmp"],
        {"ids": r"(IMD\d+)_lesion\.bmp"}, ["IMD1"],
    ),
    "PH2's layout": (
        [f"{i}/{i}_{what}.bmp" for i in ("IMD1/IMD1_lesion/IMD1", "IMD2/IMD2_lesion/IMD2")
         for what in ("lesion",)]
        + ["IMD1/IMD1_img/IMD1.bmp", "IMD2/IMD2_img/IMD2.bmp"],
        {"suffix": "_lesion"}, ["IMD1", "IMD2"],
    ),
    "a folder a sample": (["a/mask.png", "b/mask.png"], {}, "ab"),
    "a folder a sample, deeper": (["top/a/m/mask.png", "top/b/m/mask.png"], {}, "ab"),
    "a folder a sample, with names": (["x/a.png", "y/b.png"], {}, "ab"),
    "accents apart": ([unicodedata.normalize("NFD", "é.png")], {}, ["é"]),
}  # fmt: skip


@pytest.mark.parametrize("case", NAMED)
@pytest.mark.parametrize("side", ["predictions", "references"])
def test_ids_are_found_in_names(tmp_path, case, side):
    names, options, ids = NAMED[case]
    save(tmp_path, *names)
    if side == "predictions":
        found = open_submission(tmp_path, **options).ids
    else:
        target = reference_target(tmp_path, policy=ReferencePolicy(**options))
        found = {item.id for item in target.items}
    assert found == set(ids)


def test_what_was_left_out_is_said(tmp_path):
    names, options, _ = NAMED["pattern that chooses"]
    notes = " ".join(open_submission(save(tmp_path, *names), **options).notes)
    assert "left out 2 masks that do not match --ids: IMD1/IMD1_img/IMD1.bmp" in notes
    names, options, _ = NAMED["PH2's layout"]
    notes = " ".join(open_submission(save(tmp_path / "ph2", *names), **options).notes)
    assert "one folder a sample, in 2 folders: the file's name is the id" in notes
    assert "left out 2 masks that do not end in '_lesion'" in notes


REFUSED = {
    "several a folder": (["a/1.png", "a/2.png", "b/1.png"], {}, "masks in 2 folders"),
    "no regular expression": (["a.png"], {"ids": "("}, "not a regular expression"),
    "matches none": (["a.png"], {"ids": "x+"}, "matches none of 1 masks: a.png"),
    "two of one id": (["a1.png", "a2.png"], {"ids": "a"}, "a in a1.png and a2.png"),
    "two of one id in folders": (["a/x.png", "b/x.png", "c/y.png"], {}, "x in a/x.png and b/x.png"),
    "without the suffix": (["a_gt.png", "b.png"], {"suffix": "_gt"}, "without the suffix '_gt'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_names_that_are_refused(tmp_path, case):
    names, options, words = REFUSED[case]
    save(tmp_path, *names)
    with pytest.raises(sb.SegbenchError) as caught:
        open_submission(tmp_path, **options)
    assert words in str(caught.value)
    with pytest.raises(sb.SegbenchError) as caught:
        reference_target(tmp_path, policy=ReferencePolicy(**options))
    if " --" in str(caught.value):
        assert "--references-" in str(caught.value)


def test_the_list_of_endings_does_not_name_what_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(sb.SegbenchError, match=r"\.png") as caught:
        open_submission(tmp_path)
    assert "jp" not in str(caught.value).split("expected", 1)[1]


ADVICE = {
    "suffix": (["a_pred", "b_pred"], ["a", "b"], "--suffix _pred"),
    "suffix of references": (["a", "b"], ["a_gt", "b_gt"], "--references-suffix _gt"),
    "prefix": (["pred_a", "pred_b"], ["a", "b"], "--ids 'pred_(.*)[.]'"),
    "another case": (["img1"], ["IMG1"], "img1 and IMG1 differ in upper and lower case"),
    "leading zeros": (["im7"], ["im007"], "im7 and im007 differ in leading zeros"),
    "numbers": (["0", "1", "2"], ["IMD9", "IMD17", "IMD4"], "numbered and not named by ids"),
    "nothing": (["x", "y"], ["a", "b"], ""),
}


@pytest.mark.parametrize("case", ADVICE)
def test_what_is_advised_where_no_name_fits(case):
    found, wanted, words = ADVICE[case]
    advice = naming_advice(found, wanted, bare=True)
    assert words in advice
    assert bool(words) == bool(advice)


def test_the_advice_is_printed_where_some_or_none_fit(tmp_path):
    predictions = save(tmp_path / "p", "IM1.png", "im2.png")
    for names in (("IM1.png", "IM2.png"), ("IM7.png", "IM2.png")):
        references = save(tmp_path / names[0], *names)
        with pytest.raises(sb.SegbenchError, match="im2 and IM2 differ in upper and lower case"):
            sb.evaluate(predictions, references=references)


MAPS = {
    "7=0,254=ignore": {7: 0, 254: 255},
    "#ff0000=1,#000000=0": {(255, 0, 0): 1, (0, 0, 0): 0},
    "-1=ignore": {-1: 255},
}


@pytest.mark.parametrize("text", MAPS)
def test_a_map_is_read_and_written(text):
    assert parse_map(text) == MAPS[text]
    assert map_text(MAPS[text]) == text


@pytest.mark.parametrize("text", ["7", "7=x", "red=1", "7=0,7=1", "1=256", "#ff00=1"])
def test_a_map_that_is_refused(text):
    with pytest.raises(sb.SegbenchError, match="--map"):
        parse_map(text)


def test_values_are_mapped_on_both_sides(tmp_path, segbench):
    references = save(tmp_path / "r", "a.png", array=np.array([[0, 7, 254, 255]], np.uint8))
    red = np.zeros((1, 4, 3), np.uint8)
    red[0, 1:3] = (255, 0, 0)
    predictions = save(tmp_path / "p", "a.png", array=red)
    ran = segbench(
        "evaluate", "--predictions", predictions, "--references", references,
        "--map", "#ff0000=1,#000000=0", "--references-map", "7=1,254=ignore", "--json",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert {s["value"] for s in found["scores"] if s["measure"] == "dice"} == {1.0}
    notes = " ".join(found["notes"])
    assert "values mapped: #ff0000=1,#000000=0" in notes
    assert "references: values mapped: 7=1,254=ignore" in notes
    assert "255 is ignored: 2 pixels are not scored" in notes


@pytest.mark.parametrize("values", [{-1: 255, 254: 255}, "-1=ignore,254=ignore"])
def test_two_void_values_and_negative_ones_are_mapped_away(values):
    policy = ReferencePolicy(map=values)
    references = {"a": np.array([[0, 1, 2, -1, 254]])}
    result = sb.evaluate(
        {"a": np.array([[0, 1, 2, 0, 0]])}, references=references, reference_policy=policy
    )
    assert result.table.counts.total[0, 0] == 3
    assert result.score("dice", "foreground").value == 1


FORMS = {
    "ids": (Form.CLASS_IDS, [[0, 1, 255]], [[0, 1, 255]]),
    "binary": (Form.BINARY, [[0, 1, 255]], [[0, 1, 1]]),
    "colours": (Form.COLOURS, [[0, 255]], [[0, 1]]),
}


@pytest.mark.parametrize("form", FORMS)
def test_the_form_of_references_can_be_said(form):
    asked, stored, expected = FORMS[form]
    target = reference_target({"a": np.array(stored)}, policy=ReferencePolicy(form=asked))
    np.testing.assert_array_equal(target.items[0].read(), expected)
    with pytest.raises(sb.SegbenchError):
        reference_target(
            {"a": np.array([[0, 255] if form == "ids" else [0, 2]])},
            policy=ReferencePolicy(form=asked),
        )


def test_options_of_references_need_references(tmp_path, segbench):
    for words in (("--references-ids", "x"), ("--references-map", "1=0"), ("--no-background",)):
        ran = segbench("evaluate", "--predictions", tmp_path, *words)
        assert ran.code == 2, words
        assert "need --references" in ran.err
