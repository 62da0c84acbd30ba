"""The contract's table of forms, row by row, over whole submissions."""

from __future__ import annotations

import numpy as np
import pytest

from segbench.errors import SegbenchError
from segbench.masks.decode import from_array
from segbench.masks.forms import Form, Seen, decide
from segbench.masks.labels import LabelClass

BINARY = (
    LabelClass(id=0, name="background", color=(0, 0, 0)),
    LabelClass(id=1, name="lesion", color=(255, 255, 255)),
)
FOUR = (
    LabelClass(id=0, name="background", color=(0, 0, 0)),
    LabelClass(id=1, name="road", color=(128, 64, 128)),
    LabelClass(id=2, name="sky", color=(70, 130, 180)),
    LabelClass(id=5, name="car", color=(0, 0, 142)),
)
NO_BACKGROUND = (
    LabelClass(id=0, name="road", color=(128, 64, 128)),
    LabelClass(id=1, name="sky", color=(70, 130, 180)),
)
ODD_ID = (LabelClass(id=0, name="background", color=(0, 0, 0)), FOUR[3])


def seen(*files, ignored=()) -> Seen:
    """A submission whose files hold these values (each file's values in one row)."""
    found = Seen()
    for i, values in enumerate(files):
        array = np.asarray(values)
        decoded = from_array(array if array.ndim >= 2 else array[np.newaxis])
        valid = [decoded.values[c] for c in np.unique(decoded.codes)]
        found.add(
            f"f{i}", decoded.kind, valid=valid, ignored=ignored, n_channels=len(decoded.values)
        )
    return found


def colours(*values) -> np.ndarray:
    return np.array([values], dtype=np.uint8)


READ = [
    ("ids", [[0, 1], [0]], BINARY, Form.CLASS_IDS, {0: 0, 1: 1}),
    ("ids of many classes", [[0, 1], [5, 2]], FOUR, Form.CLASS_IDS, {5: 5}),
    ("nothing predicted", [[0], [0]], BINARY, Form.CLASS_IDS, {0: 0}),
    ("all of it predicted, as ids", [[1], [1]], BINARY, Form.CLASS_IDS, {1: 1}),
    ("0/255", [[0, 255], [0]], BINARY, Form.BINARY, {0: 0, 255: 1}),
    ("0/255 where the one class is 5", [[0, 255]], ODD_ID, Form.BINARY, {255: 5}),
    ("all 255", [[255]], BINARY, Form.BINARY, {255: 1}),
    (
        "colours",
        [colours((0, 0, 142), (0, 0, 0)), colours((70, 130, 180))],
        FOUR,
        Form.COLOURS,
        {(0, 0, 142): 5, (70, 130, 180): 2},
    ),
    (
        "colours, one file all background",
        [colours((0, 0, 142), (0, 0, 0)), colours((0, 0, 0))],
        FOUR,
        Form.COLOURS,
        {0: 0, (0, 0, 142): 5},
    ),
    ("probabilities", [np.array([[0.2, 0.7]])], BINARY, Form.PROBABILITIES, {0: 0, 1: 1}),
    ("probability of each class", [np.zeros((4, 1, 2))], FOUR, Form.PROBABILITIES, {3: 5}),
]


@pytest.mark.parametrize(
    ("_name", "files", "classes", "form", "part"), READ, ids=[r[0] for r in READ]
)
def test_what_is_read(_name, files, classes, form, part):
    reading = decide(seen(*files), classes)
    assert reading.form is form
    assert {value: reading.class_of[value] for value in part} == part


REFUSED = [
    ("0, 1 and 255", [[0, 1, 255]], BINARY, "--form binary"),
    ("files 0/1 and files 0/255", [[0, 1], [0, 255]], BINARY, "value 1 in f0 and value 255 in f1"),
    ("0/255 with many classes", [[0, 255]], FOUR, "one foreground class"),
    ("0/255 without a background", [[0, 255]], NO_BACKGROUND, "value 255 in f0"),
    ("1 where the one class is 5", [[0, 1]], ODD_ID, "value 1 in f0"),
    ("unknown id", [[0, 1], [0, 7]], FOUR, "value 7 in f1"),
    ("unknown id, one foreground class", [[0, 2]], BINARY, "0=background, 1=lesion"),
    ("grey levels", [list(range(0, 200, 10))], BINARY, "soft edges"),
    ("unknown colour", [colours((0, 0, 142), (9, 9, 200))], FOUR, "colour (9, 9, 200) in f0"),
    ("ids and probabilities", [[0, 1], np.array([[0.5]])], BINARY, "probabilities in f1"),
    ("too few channels", [np.zeros((3, 1, 2))], FOUR, "expected CxHxW with 4 channels"),
    ("foreground probability, many classes", [np.array([[0.5]])], FOUR, "4 channels"),
]


@pytest.mark.parametrize(
    ("_name", "files", "classes", "words"), REFUSED, ids=[r[0] for r in REFUSED]
)
def test_what_is_refused(_name, files, classes, words):
    with pytest.raises(SegbenchError) as caught:
        decide(seen(*files), classes)
    assert words in str(caught.value)


def test_255_is_fine_where_the_reference_ignores():
    assert decide(seen([0, 1], ignored=[255, 1]), BINARY).form is Form.CLASS_IDS
    assert decide(seen([0, 5], ignored=[255]), FOUR).form is Form.CLASS_IDS
    with pytest.raises(SegbenchError, match="value 9"):
        decide(seen([0, 5], ignored=[9]), FOUR)


def test_form_settles_a_mixture_and_refuses_what_it_cannot_hold():
    mixed = seen([0, 1], [0, 255])
    reading = decide(mixed, BINARY, asked=Form.BINARY)
    assert (reading.class_of[1], reading.class_of[255]) == (1, 1)
    with pytest.raises(SegbenchError, match="value 255 in f1"):
        decide(mixed, BINARY, asked=Form.CLASS_IDS)
    with pytest.raises(SegbenchError, match="cannot be read as probabilities"):
        decide(seen([0, 1]), BINARY, asked=Form.PROBABILITIES)


def test_two_readings_that_differ_are_refused_and_the_flags_named():
    """Grey colours that are also ids, the other way round."""
    swapped = (
        LabelClass(id=0, name="background", color=(1, 1, 1)),
        LabelClass(id=1, name="lesion", color=(0, 0, 0)),
    )
    with pytest.raises(SegbenchError, match="--form ids or --form colours"):
        decide(seen([0, 1]), swapped)
    assert decide(seen([0, 1]), swapped, asked=Form.COLOURS).class_of[0] == 1
