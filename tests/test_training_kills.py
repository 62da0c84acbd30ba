"""A training that is killed while it begins can be begun again by the same command."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("lightning")

# Kills a child at the first, second, ... file that it opens, renames or makes in the run's folder.
KILLED_EVERYWHERE = """
import os, sys
from pathlib import Path
from segbench.catalog.recipes import recipe_text, trained_recipe
from segbench.masks.prepared import open_prepared
from segbench.training.fit import _begin

root, recipe = Path(sys.argv[1]), trained_recipe("unet")
dataset = open_prepared("synthetic-lesions", data=Path(sys.argv[2]))

def begin(folder):
    return _begin(recipe, dataset, folder, "cpu", recipe_text("unet"), fold=None, command="c")

begin(root / "warm")
for n in range(1, 100):
    folder = root / str(n)
    child = os.fork()
    if child == 0:
        left = n
        def hook(event, arguments):
            global left
            if event in {"open", "os.mkdir", "os.rename"} and str(folder) in str(arguments[0]):
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), 9)
        sys.addaudithook(hook)
        begin(folder)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert begin(folder).result is None, n
    assert sorted(os.listdir(folder)) == ["recipe.toml", "run.json"], (n, os.listdir(folder))
    if not os.WIFSIGNALED(status):
        break
print(n)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no fork")
def test_a_kill_at_every_step_of_the_beginning(tmp_path, synthetic):
    command = [sys.executable, "-W", "ignore", "-c", KILLED_EVERYWHERE, tmp_path, synthetic]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 5
