"""The Keras example: trained by TensorFlow, exported, predicted and scored; where it is installed.

Run with TensorFlow 2.21.0, Keras 3.15.1 and tf2onnx 1.17.0.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "docs" / "examples" / "keras_unet.py"


@pytest.mark.xdist_group("training")
def test_a_keras_model_takes_part(tmp_path, synthetic, segbench):
    for module in ("tensorflow", "tf2onnx"):
        pytest.importorskip(module, reason="an optional example: pip install tensorflow tf2onnx")
    env = {"SEGBENCH_DATA": str(synthetic)}
    done = subprocess.run(
        [sys.executable, SCRIPT, "synthetic-lesions", "1"],
        capture_output=True, text=True, check=False, cwd=tmp_path, env={**os.environ, **env},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    words = ["--dataset", "synthetic-lesions", "--out", tmp_path / "masks"]
    ran = segbench("predict", tmp_path / "keras-unet.onnx", *words, env=env)
    assert ran.code == 0, ran.err
    ran = segbench("evaluate", "--predictions", tmp_path / "masks", env=env)
    assert ran.code == 0, ran.err
