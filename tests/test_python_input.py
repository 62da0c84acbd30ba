"""What people give from Python: batches, generators, tensors, `~`; and that nothing else changes."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import segbench
from segbench.errors import SegbenchError
from segbench.scoring.files import write_evaluation

RNG = np.random.default_rng(0)
TRUTH = (RNG.random((6, 9, 8)) < 0.4).astype(np.uint8)
GUESS = (RNG.random((6, 9, 8)) < 0.4).astype(np.uint8)
EXPECTED = segbench.evaluate(list(GUESS), references=list(TRUTH)).score("dice").value


def tensors():
    torch = pytest.importorskip("torch")
    return torch, torch.from_numpy(GUESS)


GIVEN = {
    "batch": lambda: GUESS,
    "tuple": lambda: tuple(GUESS),
    "generator": lambda: (mask for mask in GUESS),
    "lists": GUESS.tolist,
    "tensor": lambda: tensors()[1][:],
    "list of tensors": lambda: list(tensors()[1]),
    "gradients": lambda: tensors()[1].float().mul(0.8).requires_grad_(),
    "bfloat16": lambda: tensors()[1].to(tensors()[0].bfloat16) * 0.75,
    "by id": lambda: {f"{i:06d}": mask for i, mask in enumerate(tensors()[1])},
}


@pytest.mark.parametrize("given", GIVEN)
def test_predictions_simply_work(given):
    found = segbench.evaluate(GIVEN[given](), references=TRUTH)
    assert found.score("dice").value == EXPECTED


@pytest.mark.parametrize("given", ["batch", "tuple", "generator", "lists", "tensor", "by id"])
def test_so_do_references(given):
    found = segbench.evaluate(TRUTH, references=GIVEN[given]())
    assert found.score("dice").value == pytest.approx(EXPECTED)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (GUESS[0], r"one array \(9, 8\); expected a batch NxHxW"),
        (7, "int; expected a path, arrays by id, a batch NxHxW, or a list"),
        (None, "NoneType; expected a path"),
        ([object()] * 6, "dtype object"),
        ([[[1], [1, 2]]] * 6, "no array"),
    ],
)
def test_what_is_no_batch_is_said(given, said):
    with pytest.raises(SegbenchError, match=said):
        segbench.evaluate(given, references=TRUTH)


def test_results_are_not_compared_but_their_folders():
    result = segbench.evaluate(GUESS, references=TRUTH)
    with pytest.raises(SegbenchError, match="Evaluation; expected the paths of scores folders"):
        segbench.compare(result, result)


@pytest.mark.parametrize(
    ("asked", "key"), [("miou", "iou"), ("f1", "dice"), ("Dice", "dice"), ("jacard", None)]
)
def test_a_key_that_is_none_suggests_one(asked, key):
    result = segbench.evaluate(GUESS, references=TRUTH)
    with pytest.raises(SegbenchError, match=f"no score '{asked}'") as caught:
        result.score(asked)
    assert (f"do you mean {key}?" in str(caught.value)) == (key is not None)
    assert "there are iou, dice" in str(caught.value)
    with pytest.raises(SegbenchError, match=f"no measure '{asked}'") as caught:
        segbench.parse(f"{asked}|class:a|over:images")
    assert (f"do you mean {key}?" in str(caught.value)) == (key is not None)


def test_the_users_folder_is_found_by_its_sign(tmp_path, monkeypatch, synthetic):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name, masks in (("guess", GUESS), ("truth", TRUTH)):
        (tmp_path / name).mkdir()
        for i, mask in enumerate(masks):
            Image.fromarray(mask).save(tmp_path / name / f"{i}.png")
    result = segbench.evaluate("~/guess", references="~/truth")
    assert result.score("dice").value == EXPECTED
    for name in ("a", "b"):
        write_evaluation(result, tmp_path / name)
    assert segbench.compare("~/a", "~/b").pairs[0].value == 0
    (tmp_path / "data").symlink_to(synthetic)
    assert len(segbench.load("synthetic-lesions", data="~/data"))
    monkeypatch.setenv("SEGBENCH_DATA", "~/data")
    assert len(segbench.load("synthetic-lesions"))


MALLOC = """
import ctypes, sys
real = ctypes.CDLL
class Watched(real):
    def __getattr__(self, name):
        if name == "mallopt":
            print("mallopt")
        return super().__getattr__(name)
ctypes.CDLL = Watched
import numpy as np
import segbench
if len(sys.argv) > 1:
    from segbench.commands.app import main
    sys.argv = ["segbench", "--version"]
    main()
a = np.zeros((4, 8, 8), np.uint8); a[:, 2:4, 2:4] = 1
print(segbench.evaluate(list(a), references=list(a), jobs=2).score("dice").value)
"""


@pytest.mark.parametrize("command_line", [False, True])
def test_only_the_command_line_changes_how_memory_is_kept(command_line):
    command = [sys.executable, "-c", MALLOC, *["command"] * command_line]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert ("mallopt" in done.stdout) == (command_line and sys.platform == "linux")
