"""Arrays as people save them: other axes, one-hot, grey levels of probabilities, viridis."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import segbench as sb
from segbench.masks.decode import MAX_PIXELS, check_size, decode, from_array
from segbench.masks.decoded import Kind, MaskFileError
from segbench.masks.forms import Form

SIZE = (4, 6)
IDS = np.array([[0, 1, 2, 0, 1, 2]] * 4)
ONE_HOT = np.stack([i == IDS for i in range(3)]).astype(np.uint8)
SOFT = np.linspace(0, 1, 24).reshape(SIZE)
CLASSES = np.stack([SOFT, 1 - SOFT]) / 1.0

READ = {
    "HxWx1": (IDS[..., np.newaxis], IDS),
    "1xHxW": (IDS[np.newaxis], IDS),
    "1x1xHxW": (IDS[np.newaxis, np.newaxis], IDS),
    "1xHxWx1": (IDS[np.newaxis, ..., np.newaxis], IDS),
    "HxWx1 of bytes": (IDS[..., np.newaxis].astype(np.uint8), IDS),
    "HxWx1 of floats": (SOFT[..., np.newaxis], SOFT > 0.5),
    "1xHxW of floats": (SOFT[np.newaxis], SOFT > 0.5),
    "1xCxHxW": (CLASSES[np.newaxis], CLASSES.argmax(axis=0)),
    "Cx1xHxW": (CLASSES[:, np.newaxis], CLASSES.argmax(axis=0)),
}


@pytest.mark.parametrize("case", READ)
@pytest.mark.parametrize("known", [True, False])
def test_axes_of_length_one_say_nothing(case, known):
    array, expected = READ[case]
    decoded = from_array(array, expected=SIZE if known else None)
    values = np.array(decoded.values)[decoded.codes]
    np.testing.assert_array_equal(values, expected)
    usual = array.ndim == 3 and array.shape[0] == 1
    assert decoded.note == ("" if usual else "axes of length one dropped")


def test_a_side_of_one_pixel_is_kept():
    assert from_array(np.ones((1, 6), int), expected=(1, 6)).size == (1, 6)
    assert from_array(np.ones((1, 6, 1), int), expected=(1, 6)).size == (1, 6)
    assert from_array(np.ones((6, 1)), expected=(6, 1)).size == (6, 1)
    assert from_array(np.ones((2, 6, 1)) / 2, expected=(6, 1)).size == (6, 1)
    assert from_array(np.full((1, 2, 3), 9, np.uint8)).kind is Kind.VALUES  # a row of grey RGB
    row = np.array([[[0, 0, 142], [0, 0, 0]]], np.uint8)
    assert from_array(row, expected=(1, 2)).kind is Kind.COLOURS


MENDED = {
    "one-hot, classes first": (ONE_HOT, "mask.argmax(axis=0)"),
    "one-hot, classes last": (np.moveaxis(ONE_HOT, 0, -1), "mask.argmax(axis=-1)"),
    "one-hot of two": (ONE_HOT[:2] | np.array([ONE_HOT[2], 0 * ONE_HOT[2]]), "argmax(axis=0)"),
    "one-hot of bool": (ONE_HOT.astype(bool), "mask.argmax(axis=0)"),
    "classes last": (np.moveaxis(CLASSES, 0, -1), "np.moveaxis(probabilities, -1, 0)"),
    "several masks": (np.stack([IDS, IDS]), "HxW array"),
}


@pytest.mark.parametrize("case", MENDED)
def test_the_call_that_mends_it_is_given(case):
    array, words = MENDED[case]
    with pytest.raises(MaskFileError) as caught:
        from_array(array, expected=SIZE)
    assert words in str(caught.value)


def test_an_array_with_one_axis_more_scores_as_without(tmp_path):
    np.save(tmp_path / "a.npy", np.array([[0, 1], [1, 1]])[..., np.newaxis])
    result = sb.evaluate(tmp_path, references={"a": np.array([[0, 1], [1, 1]])})
    assert result.score("dice").value == 1
    assert "1 files: axes of length one dropped" in result.notes


def saved(folder: Path, kind: str, levels: np.ndarray) -> object:
    """Grey levels as files, or in memory."""
    if kind == "memory":
        return {"a": levels}
    folder.mkdir()
    if kind == "npy":
        np.save(folder / "a.npy", levels)
    else:
        Image.fromarray(levels).save(folder / "a.png")
    return folder


@pytest.mark.parametrize("kind", ["npy", "png", "memory"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_probabilities_of_two_grey_levels(tmp_path, kind, dtype):
    truth = np.array([[0, 1, 1], [0, 0, 1]])
    levels = np.where(truth, 0.9, 0.1) * np.iinfo(dtype).max
    predictions = saved(tmp_path / "p", kind, levels.astype(dtype))
    with pytest.raises(sb.SegbenchError, match="--form probabilities"):
        sb.evaluate(predictions, references={"a": truth})
    policy = sb.Policy(form=Form.PROBABILITIES)
    result = sb.evaluate(predictions, references={"a": truth}, policy=policy)
    assert result.form == "probabilities"
    assert result.score("dice").value == 1


def test_ids_are_no_probabilities_though_it_was_said():
    for array, words in ((np.array([[0, 1]], np.uint8), "class ids"), (IDS, "8 or 16 bits")):
        with pytest.raises(sb.SegbenchError, match=words):
            sb.evaluate(
                {"a": array},
                references={"a": np.array([[0, 1]]) if array.shape == (1, 2) else IDS % 2},
                policy=sb.Policy(form=Form.PROBABILITIES),
            )


@pytest.mark.parametrize("last", [36, 37])
def test_the_default_of_imsave_is_recognised(tmp_path, last):
    truth = np.array([[0, 1, 1], [0, 0, 1]])
    ends = np.array([[68, 1, 84], [253, 231, last]], np.uint8)
    Image.fromarray(ends[truth]).save(tmp_path / "a.png")
    with pytest.raises(sb.SegbenchError, match=r"viridis, in which plt\.imsave"):
        sb.evaluate(tmp_path, references={"a": truth})


def test_the_limit_of_pixels_is_one_for_all_formats(monkeypatch):
    """Pillow's own, which warns first and then refuses, is lowered here and has no say."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 8)
    for ending in ("bmp", "gif", "tiff", "png"):
        stream = io.BytesIO()
        Image.fromarray(IDS.astype(np.uint8)).save(stream, ending)
        assert decode(stream.getvalue(), f".{ending}").size == SIZE, ending
    with pytest.raises(MaskFileError, match="expected 1 to 536,870,912 pixels"):
        check_size((MAX_PIXELS, 2), None)
