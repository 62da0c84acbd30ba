"""What is wrong with a file is said in our words: what was found, what to write, an example."""

from __future__ import annotations

from pathlib import Path

import pytest

import segbench
from segbench.board.entry import Entry, Method, Training
from segbench.board.method import MethodFile, method_toml
from segbench.catalog.card import Card
from segbench.catalog.recipes import TrainedRecipe
from segbench.catalog.strict import Strict, validate
from segbench.errors import SegbenchError

METHOD = {
    "authors": ["A"],
    "method": {"title": "t", "description": "d"},
    "training": {"data": "none"},
}
FAULTS = [
    (MethodFile, {**METHOD, "authors": []}, 'authors: holds 0, expected 1 or more; write authors = ["Ada'),
    (MethodFile, {**METHOD, "authors": "A"}, 'authors: expected a list in brackets, found "A"; write'),
    (MethodFile, {**METHOD, "weights_sha256": "12"}, "expected 64 digits of 0-9a-f, as `sha256sum`"),
    (MethodFile, {**METHOD, "links": {"paper": "x y"}}, 'links.paper: expected an address, such as "https'),
    (MethodFile, {**METHOD, "training": {"data": "none", "seeds": ["1"]}}, 'expected a whole number, found "1"'),
    (MethodFile, {**METHOD, "training": {"data": 7}}, "training.data: expected a text in quotation marks, found 7"),
    (MethodFile, {**METHOD, "method": {**METHOD["method"], "tta": "no"}}, "expected true or false"),
    (MethodFile, {**METHOD, "method": 3}, "method: expected a table of keys and values, found 3"),
    (MethodFile, {**METHOD, "cost": {"parameters": 1.5}}, "expected a whole number, found 1.5"),
    (MethodFile, {**METHOD, "cost": {"parameters": -1}}, "cost.parameters: expected 0 or more, found -1"),
    (MethodFile, {**METHOD, "cost": {"training_kwh": 0}}, "expected more than 0, found 0"),
    (MethodFile, {**METHOD, "method": {"title": "", "description": "d"}}, "title: is empty, expected a text"),
    (MethodFile, {k: v for k, v in METHOD.items() if k != "authors"}, 'authors; write authors = ["Ada'),
    (MethodFile, {**METHOD, "cost": {"training_seconds": 3}}, "cost.training_machine is missing"),
    (Card, {"mask": {"kind": "guess"}}, "mask: kind is"),
    (Card, {"task": "panoptic"}, 'task: expected "semantic", found "panoptic"'),
    (Card, {"name": "My Data"}, 'name: expected small letters, digits and hyphens, such as "my-data"'),
    (TrainedRecipe, {"train": {"epochs": "many"}}, "train.epochs: expected a whole number"),
    (Entry, {"date": "yesterday"}, "date: expected a day as year-month-day"),
    (Entry, {"status": "best"}, "status: expected"),
]  # fmt: skip


@pytest.mark.parametrize(("model", "content", "said"), FAULTS)
def test_a_fault_says_what_to_write(model: type[Strict], content, said):
    with pytest.raises(SegbenchError) as caught:
        validate(content, model, where=Path("method.toml"))
    assert said in str(caught.value)
    for foreign in ("Input should", "should have", "Value error", "Field required", "valid "):
        assert foreign not in str(caught.value)


def test_examples_are_of_the_language_of_the_file():
    with pytest.raises(SegbenchError, match=r'write "authors": \["Ada'):
        validate({"authors": []}, Entry, where=Path("entry.json"))


def test_no_sentence_of_pydantic_is_ever_used():
    home = Path(segbench.__file__).parent
    sources = {path: path.read_text(encoding="utf-8") for path in home.rglob("*.py")}
    assert [p for p, text in sources.items() if '["msg"]' in text or "['msg']" in text] == []


def test_what_a_method_file_must_hold_is_marked():
    lines = method_toml().splitlines()
    required = [
        name
        for model in (MethodFile, Method, Training)
        for name, field in model.model_fields.items()
        if field.is_required() and name not in {"method", "training"}
    ]
    marked = [line.partition(" ")[0] for line in lines if "# required" in line]
    assert marked == required
