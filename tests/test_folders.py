"""A folder is placed whole or not at all, whenever the process is killed; nothing stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from segbench import folders

# Kills a child at the first, second, third, ... thing that it asks of the file system.
KILLED_EVERYWHERE = """
import ctypes, os, shutil, signal, sys
from pathlib import Path
from segbench import folders

SEAMS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.chmod", "shutil.rmtree",
         "ctypes.call_function", "seam"}
root, exchange = Path(sys.argv[1]), sys.argv[2] == "exchange"
calls = 0
if not exchange:
    folders._exchange = lambda a, b: False
else:
    real = folders._exchange
    def seen(a, b):
        sys.audit("seam")
        found = real(a, b)
        sys.audit("seam")
        return found
    folders._exchange = seen

def fill(text):
    def write(made):
        for name in ("a", "b"):
            (made / name).write_text(text)
    return write

def contents(folder):
    return {path.name: path.read_text() for path in folder.iterdir()}

old, new = {"a": "old", "b": "old"}, {"a": "new", "b": "new"}
outcomes = set()
for n in range(1, 500):
    parent = root / str(n)
    folders.place_folder(parent / "entry", fill("old"))
    child = os.fork()
    if child == 0:
        left = n
        def hook(event, arguments):
            global left
            if event in SEAMS:
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), 9)
        sys.addaudithook(hook)
        folders.place_folder(parent / "entry", fill("new"), replace=True)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    if exchange:
        assert contents(parent / "entry") in (old, new), n  # at every moment
    folders.place_folder(parent / "other", fill("other"))
    found = contents(parent / "entry")
    assert found in (old, new), (n, found)
    assert sorted(os.listdir(parent)) == ["entry", "other"], (n, os.listdir(parent))
    outcomes.add(found["a"])
    if not os.WIFSIGNALED(status):
        break
    assert os.WTERMSIG(status) == 9
print(n, *sorted(outcomes))
"""


@pytest.mark.skipif(folders.fcntl is None, reason="no locks here")
@pytest.mark.parametrize("way", ["exchange", "aside"])
def test_a_kill_at_every_step_leaves_the_old_or_the_new_and_the_next_run_mends(tmp_path, way):
    command = [sys.executable, "-c", KILLED_EVERYWHERE, str(tmp_path), way]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    n, *outcomes = done.stdout.split()
    assert int(n) > 10
    assert outcomes == ["new", "old"]


def test_the_hidden_folder_of_a_running_one_and_foreign_names_are_left_alone(tmp_path):
    foreign = tmp_path / ".mine.segbench-new-notes"
    foreign.mkdir()
    with folders.building(tmp_path / "a") as first, folders.building(tmp_path / "b") as second:
        assert first.is_dir()
        assert second.is_dir()
    assert [path.name for path in tmp_path.iterdir()] == [foreign.name]


def test_a_folder_is_placed_in_one_that_is_being_placed(tmp_path):
    def fill(made):
        folders.place_folder(made / "plots", lambda inner: (inner / "a").write_text("a"))

    folders.place_folder(tmp_path / "board", fill)
    assert [path.name for path in tmp_path.rglob("*")] == ["board", "plots", "a"]


def test_what_had_stepped_aside_is_put_back(tmp_path):
    (tmp_path / ".entry.segbench-old-01234567").mkdir()
    folders.sweep(tmp_path)
    assert os.listdir(tmp_path) == ["entry"]


def kill_at(call: str, arguments: list[str], cwd) -> int:
    """Run the command line in a process that kills itself where it calls a function of os."""
    program = (
        "import os, sys\n"
        "from segbench.commands.app import main\n"
        "def end(event, arguments):\n"
        f"    if event == {call!r} and '.segbench-' in str(arguments[0]):\n"
        "        os.kill(os.getpid(), 9)\n"
        "sys.addaudithook(end)\n"
        "main()\n"
    )
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, check=False).returncode


def test_evaluate_sweeps_what_a_killed_one_left(tmp_path, segbench):
    import numpy as np  # noqa: PLC0415
    from PIL import Image  # noqa: PLC0415

    for name in ("masks", "truth"):
        (tmp_path / name).mkdir()
        mask = np.zeros((8, 8), np.uint8)
        mask[2:5, 2:6] = 255
        Image.fromarray(mask).save(tmp_path / name / "a.png")
    arguments = ["evaluate", "--predictions", "masks", "--references", "truth", "--out", "ev"]
    assert kill_at("os.rename", arguments, tmp_path) == -signal.SIGKILL
    assert len([name for name in os.listdir(tmp_path) if name.startswith(".ev.")]) == 1
    ran = segbench(*arguments, cwd=tmp_path)
    assert ran.code == 0, ran.err
    assert sorted(os.listdir(tmp_path)) == ["ev", "masks", "truth"]
