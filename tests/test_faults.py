"""What nobody foresaw is one line, a file and exit code 3; names and links of any kind are words."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segbench.commands import measures

NOBODY_FORESAW = "division by\nzero"


@pytest.fixture
def masks(tmp_path) -> Path:
    mask = np.zeros((8, 8), np.uint8)
    mask[2:5, 2:6] = 255
    (tmp_path / "masks").mkdir()
    Image.fromarray(mask).save(tmp_path / "masks" / "a.png")
    return tmp_path / "masks"


@pytest.fixture
def fault(monkeypatch, tmp_path):
    """A command that fails as nobody foresaw; faults are written into a folder of the test."""

    def fail(_value):
        raise ZeroDivisionError(NOBODY_FORESAW)

    monkeypatch.setattr("segbench.commands.console.say_json", fail)
    (tmp_path / "faults").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "faults"))
    return tmp_path / "faults"


def test_a_fault_is_one_line_a_file_and_exit_code_3(segbench, fault):
    ran = segbench("measures", "--json", env={"SEGBENCH_TRACEBACK": "0"})
    assert ran.code == 3
    assert ran.out == ""
    (path,) = fault.iterdir()
    assert ran.err == (
        "fault: ZeroDivisionError: division by zero: this is a fault of segbench, please report "
        f"it with {path}\n"
    )
    text = path.read_text(encoding="utf-8")
    assert re.match(r"segbench \S+, Python 3\.\S+, .*\nsegbench measures --json\n\nTraceback", text)
    assert Path(measures.__file__).name in text


def test_a_fault_is_told_whole_where_no_file_can_be_written(segbench, fault):
    fault.rmdir()
    ran = segbench("measures", "--json", env={"SEGBENCH_TRACEBACK": "0"})
    assert ran.code == 3
    assert ran.err.startswith("fault: ZeroDivisionError: division by zero: this is a fault of")
    assert "Traceback (most recent call last)" in ran.err


@pytest.mark.usefixtures("fault")
def test_tests_see_the_exception(segbench):
    with pytest.raises(ZeroDivisionError):
        segbench("measures", "--json")


@pytest.mark.parametrize(
    "command",
    [
        ("evaluate", "--predictions", "masks", "--references", "masks"),
        ("predict", "otsu", "--dataset", "synthetic-lesions", "--data", "DATA"),
        ("train", "unet", "--dataset", "synthetic-lesions", "--data", "DATA"),
        ("leaderboard", "build", "--results", "masks"),
        ("demo",),
    ],
    ids=lambda command: command[0],
)
def test_an_output_that_is_a_loop_of_links_is_refused_in_words(
    tmp_path, masks, synthetic, segbench, command
):
    loop = tmp_path / "loop"
    loop.symlink_to("loop")
    words = [str(synthetic) if word == "DATA" else word for word in command]
    ran = segbench(*words, "--out", loop, cwd=masks.parent)
    assert ran.code == 1
    assert ran.err.startswith("error: ")
    assert str(loop) in ran.err
    assert loop.is_symlink()


def test_a_name_that_the_terminal_lacks_is_shown_as_escapes(tmp_path, masks, segbench_process):
    name = "ausgäbe-é"
    arguments = ["evaluate", "--predictions", masks, "--references", masks, "--out", name]
    ascii_only = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    ran = segbench_process(*arguments, env=ascii_only, cwd=tmp_path)
    assert ran.code == 0, ran.err
    assert "ausg\\xe4be-\\xe9" in ran.out
    assert name in os.listdir(tmp_path)


def test_json_stays_json_where_the_terminal_lacks_a_letter(segbench_process):
    ascii_only = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    ran = segbench_process("datasets", "--json", env=ascii_only)
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)
