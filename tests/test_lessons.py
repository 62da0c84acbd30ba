"""The lessons run as they stand, and cutting out does what its formula says."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

DOCS = Path(__file__).parents[1] / "docs"

pytestmark = pytest.mark.xdist_group("training")


def ran(script: str, data: Path, *words: object, cwd: Path) -> str:
    done = subprocess.run(
        [sys.executable, DOCS / script, *map(str, words)],
        capture_output=True, text=True, check=False, cwd=cwd,
        env={**os.environ, "SEGBENCH_DATA": str(data), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_lesion_segmentation(tmp_path, synthetic):
    words = ["--epochs", 1, "--width", 2, "--long-side", 64]
    table = ran("lessons/lesion_segmentation.py", synthetic, *words, cwd=tmp_path).splitlines()
    assert [line.split(" | ")[1] for line in table[2:]] == [
        "double-sigmoid", "mse", "bce", "cross-entropy", "bce", "bce-dice",
    ]  # fmt: skip


def test_cut_out(tmp_path, synthetic):
    ran("lessons/cut_out.py", synthetic, "--samples", 1, "--out", "out", cwd=tmp_path)
    (picture,) = (tmp_path / "out").iterdir()
    image, mask, made = np.split(np.asarray(Image.open(picture)), 3, axis=1)
    inside = mask[..., 0] == 255
    assert inside.any()
    np.testing.assert_array_equal(made[inside], image[inside])
    assert (made[~inside] != image[~inside]).any(axis=1).mean() > 0.99


def test_half_transparent_pixels_are_halfway():
    cut_out = runpy.run_path(str(DOCS / "lessons" / "cut_out.py"))["cut_out"]
    image, background = np.full((1, 2, 3), 200, np.uint8), np.full((1, 2, 3), 100, np.uint8)
    assert cut_out(image, np.array([[0.5, 1.0]]), background)[0, :, 0].tolist() == [150, 200]
