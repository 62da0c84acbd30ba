"""Training for real: a killed run resumed, one seed one result, prediction from weights and ONNX."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file
from scipy import ndimage
from typer.testing import CliRunner

from segbench.commands.app import app
from segbench.errors import SegbenchError
from segbench.training.module import Segmenter


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str


TINY = """
schema_version = 1
name = "tiny"
title = "Tiny"
description = "For the tests."
kind = "trained"
reference = "none"
[model]
family = "unet"
options = { width = 4 }
[input]
long_side = 64
[augment]
rotation = 30
scale = 0.1
brightness = 0.1
[loss]
name = "bce"
[optimiser]
learning_rate = 0.01
[train]
epochs = 4
batch = 8
"""

pytestmark = [
    pytest.mark.xdist_group("training"),  # torch wants the cores for itself
    pytest.mark.filterwarnings("default"),  # torch, Lightning and the exporter deprecate each other
]


@dataclass(frozen=True)
class Place:
    """A folder with the tiny recipe, and the environment of its runs."""

    folder: Path
    env: dict[str, str]

    def call(self, *words: object) -> Ran:
        """The command line, in this process: torch is imported once."""
        done = CliRunner().invoke(app, [str(w) for w in words], env=self.env)
        refused = done.exception if isinstance(done.exception, SegbenchError) else None
        if done.exception and refused is None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return Ran(1 if refused else done.exit_code, done.stdout, done.stderr + str(refused or ""))

    def train(self, out: str, *more: object, recipe: str = "tiny") -> list[str]:
        words = ["train", self.folder / f"{recipe}.toml", "--out", self.folder / out]
        words += ["--dataset", "synthetic-lesions", "--device", "cpu", "--threads", 1, *more]
        return [str(w) for w in words]


@pytest.fixture(scope="module")
def place(tmp_path_factory, synthetic):
    folder = tmp_path_factory.mktemp("training")
    (folder / "tiny.toml").write_text(TINY)
    env = {"SEGBENCH_CACHE": str(folder / "cache"), "SEGBENCH_DATA": str(synthetic)}
    return Place(folder, env)


@pytest.fixture(scope="module")
def run(place) -> Path:
    """One uninterrupted run."""
    ran = place.call(*place.train("run"))
    assert ran.code == 0, ran.err
    return place.folder / "run"


def weights(folder: Path) -> dict[str, np.ndarray]:
    return load_file(folder / "weights.safetensors")


def assert_same(a: Path, b: Path) -> None:
    one, other = weights(a), weights(b)
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        np.testing.assert_array_equal(tensor, other[name], err_msg=name)


def test_a_run_leaves_everything_behind(run):
    names = {p.name for p in run.iterdir()}
    assert names == {
        "recipe.toml", "run.json", "log.csv", "weights.safetensors", "model.onnx", "curves.png",
        "scores", "checkpoint.ckpt", "tensorboard",
    }  # fmt: skip
    about = json.loads((run / "run.json").read_text())
    assert about["result"]["epochs"] == 4
    assert about["data"]["n_train"] == 28
    assert about["environment"]["packages"]["torch"]
    scores = json.loads((run / "scores" / "scores.json").read_text())
    assert scores["split"] == "val"
    log = (run / "log.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in log] == ["epoch", "0", "1", "2", "3"]
    losses = [float(line.split(",")[1]) for line in log[1:]]
    assert losses[-1] < losses[0]


def test_killed_and_resumed_equals_uninterrupted(place, run):
    """SIGKILL of a real process as soon as its second epoch is written; then the same command."""
    out = place.folder / "killed"
    words = place.train("killed")
    victim = subprocess.Popen(
        [sys.executable, "-m", "segbench", *words],
        env={**os.environ, **place.env}, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    log = out / "log.csv"
    deadline = time.monotonic() + 240
    while not (log.exists() and len(log.read_text().splitlines()) >= 3):
        assert victim.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    assert json.loads((out / "run.json").read_text())["result"] is None
    ran = place.call(*words)
    assert ran.code == 0, ran.err
    assert "epoch 1/4" not in ran.err  # it went on, it did not begin again
    assert "epoch 4/4" in ran.err
    assert_same(run, out)
    before, after = (
        json.loads((f / "run.json").read_text())["result"]["best_val_dice"] for f in (run, out)
    )
    assert before == after


def test_killed_after_the_last_epoch_is_finished(place, run):
    """All epochs are there, the export and the result are not."""
    out = place.folder / "unfinished"
    shutil.copytree(run, out)
    about = json.loads((run / "run.json").read_text())
    (out / "run.json").write_text(json.dumps({**about, "result": None}))
    (out / "model.onnx").unlink()
    ran = place.call(*place.train("unfinished"))
    assert ran.code == 0, ran.err
    assert "epoch" not in ran.err
    assert json.loads((out / "run.json").read_text())["result"] == about["result"]
    assert (out / "model.onnx").exists()


def test_early_stopping_stays_stopped(place):
    text = TINY.replace("epochs = 4", "epochs = 9\npatience = 1").replace("0.01", "1e-9")
    (place.folder / "patient.toml").write_text(text)
    ran = place.call(*place.train("patient", recipe="patient"))
    assert ran.code == 0, ran.err
    epochs = len((place.folder / "patient" / "log.csv").read_text().splitlines()) - 1
    assert epochs < 9
    about = json.loads((place.folder / "patient" / "run.json").read_text())
    (place.folder / "patient" / "run.json").write_text(json.dumps({**about, "result": None}))
    assert place.call(*place.train("patient", recipe="patient")).code == 0
    again = json.loads((place.folder / "patient" / "run.json").read_text())
    assert again["result"]["epochs"] == epochs == about["result"]["epochs"]


def test_a_folder_of_something_else_is_not_trained_into(place):
    folder = place.folder / "thesis"
    folder.mkdir()
    (folder / "thesis.tex").write_text("mine")
    ran = place.call(*place.train("thesis"))
    assert ran.code == 1
    assert "holds thesis.tex and no run" in ran.err


def test_another_seed_is_another_run(place, run):
    ran = place.call(*place.train("run", "--seed", 1))
    assert ran.code == 1
    assert "recipe.train.seed: begun with 0, now 1" in ran.err
    first = (run / "log.csv").read_text().splitlines()[1].split(",")[1]
    ran = place.call(*place.train("seed1", "--seed", 1))
    assert ran.code == 0, ran.err
    assert (place.folder / "seed1" / "log.csv").read_text().splitlines()[1].split(",")[1] != first


def test_a_finished_run_is_not_trained_again(place, run):
    before = (run / "weights.safetensors").stat().st_mtime_ns
    ran = place.call(*place.train("run"))
    assert ran.code == 0
    assert "epoch 4/4" not in ran.err
    assert (run / "weights.safetensors").stat().st_mtime_ns == before


def predicted(place: Place, what: object, out: str, *more: object) -> Ran:
    words = ["predict", what, "--dataset", "synthetic-lesions", "--out", place.folder / out]
    return place.call(*words, *more)


def test_run_and_onnx_predict_the_same_and_are_scored(place, run):
    for what, out in ((run, "by-torch"), (run / "model.onnx", "by-onnx")):
        ran = predicted(place, what, out, "--no-tta")
        assert ran.code == 0, ran.err
    different = total = 0
    for path in (place.folder / "by-torch").glob("*.png"):
        one, other = (
            np.asarray(Image.open(place.folder / d / path.name)) for d in ("by-torch", "by-onnx")
        )
        different += int((one != other).sum())
        total += one.size
    assert total
    assert different / total < 1e-4  # two libraries round differently at the threshold
    masks = place.folder / "by-torch"
    ran = place.call("evaluate", "--predictions", masks, "--dataset", "synthetic-lesions", "--json")
    scores = json.loads(ran.out)["scores"]
    dice = next(s for s in scores if s["measure"] == "dice" and s["over"] == "images")
    assert dice["value"] > 0.5


def test_an_exported_network_makes_masks_as_its_recipe_says(place):
    """The recipe's mirror images and largest region are those of its ONNX file too."""
    recipe = TINY.replace("epochs = 4", "epochs = 1") + (
        "[predict]\ntta = true\nlargest_component = true\n"
    )
    (place.folder / "mirrored.toml").write_text(recipe)
    assert place.call(*place.train("mirrored", recipe="mirrored")).code == 0
    found = []
    for what, out in (("mirrored", "m-torch"), ("mirrored/model.onnx", "m-onnx")):
        ran = predicted(place, place.folder / what, out)
        assert ran.code == 0, ran.err
        marker = json.loads((place.folder / out / "segbench.json").read_text())
        assert (marker["tta"], marker["largest_component"]) == (True, True)
        assert marker["trained_on"]["dataset"] == "synthetic-lesions"
        masks = sorted((place.folder / out).glob("*.png"))
        found.append([np.asarray(Image.open(path)) for path in masks])
    differing = sum(int((a != b).sum()) for a, b in zip(*found, strict=True))
    assert differing < 1e-3 * sum(a.size for a in found[0])


@pytest.mark.parametrize("what", ["", "model.onnx"])
def test_samples_that_were_trained_on_are_not_predicted_for_a_score(place, run, what):
    ran = predicted(place, run / what, "leak", "--fold", "0")
    assert ran.code == 1
    assert "4 of the 12 samples of fold0" in ran.err
    assert "predict --split test, or train another with --fold 0" in ran.err
    assert not (place.folder / "leak").exists()
    assert predicted(place, run / what, "look", "--split", "train").code == 0
    assert predicted(place, run / what, "chosen", "--split", "val").code == 0


def test_several_classes_are_trained_and_scored(place, tmp_path):
    """A dataset of one's own with three classes, through every command."""
    rng = np.random.default_rng(0)
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    for i in range(20):
        mask = np.kron(rng.integers(0, 3, (4, 4)), np.ones((16, 16), int)).astype(np.uint8)
        grey = mask[..., None] * 100 + rng.integers(0, 40, (64, 64, 3))
        Image.fromarray(grey.astype(np.uint8)).save(tmp_path / "images" / f"case{i:02}.png")
        Image.fromarray(mask).save(tmp_path / "masks" / f"case{i:02}.png")
    card = tmp_path / "cards" / "own"
    ran = place.call("new-dataset", tmp_path, "--out", tmp_path / "cards", "--name", "own")
    assert ran.code == 0, ran.err
    data = ("--data", tmp_path / "data")
    ran = place.call("prepare", "own", "--card", card, "--source", tmp_path, *data)
    assert ran.code == 0, ran.err
    (place.folder / "softmax.toml").write_text(TINY.replace('"bce"', '"cross-entropy"'))
    words = place.train("own", "--epochs", 1, recipe="softmax")
    words[words.index("synthetic-lesions")] = "own"
    ran = place.call(*words, *data)
    assert ran.code == 0, ran.err
    assert "validation Dice 0." in ran.out


def test_what_cannot_go_on_says_so(place, run, tmp_path):
    (tmp_path / "file").write_text("mine")
    shutil.copytree(run, tmp_path / "torn")
    about = json.loads((tmp_path / "torn" / "run.json").read_text())
    about["result"] = None
    (tmp_path / "torn" / "run.json").write_text(json.dumps(about))
    checkpoint = tmp_path / "torn" / "checkpoint.ckpt"
    checkpoint.write_bytes(checkpoint.read_bytes()[:5000])
    for out, said in (
        (tmp_path / "file", "is a file"),
        (tmp_path / "torn", "checkpoint.ckpt: dam"),
    ):
        words = place.train("x")
        words[words.index(str(place.folder / "x"))] = str(out)
        ran = place.call(*words)
        assert ran.code == 1
        assert said in ran.err
    assert (tmp_path / "file").read_text() == "mine"
    assert predicted(place, tmp_path / "torn", "of-unfinished").code == 0


FULL_DISK = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))
sys.argv = ["segbench", *sys.argv[2:]]
from segbench.commands.app import main
main()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs RLIMIT_FSIZE")
@pytest.mark.parametrize(
    ("limit", "said"), [(50_000, "no cache can be written"), (700_000, "make room and run")]
)
def test_a_full_disk_is_said(place, tmp_path, limit, said):
    """No file may be longer than so many bytes: neither the cache nor, later, a checkpoint."""
    env = {**os.environ, **place.env}
    if "cache" in said:
        env["SEGBENCH_CACHE"] = str(tmp_path)
    recipe = (place.folder / "tiny.toml").read_text().replace("width = 4", "width = 16")
    (place.folder / "wide.toml").write_text(recipe)
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(limit), *place.train(f"full{limit}", recipe="wide")],
        env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1, (done.returncode, done.stderr)
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_probabilities_with_mirror_images(place, run):
    out = place.folder / "soft"
    ran = predicted(place, run, "soft", "--tta", "--probabilities")
    assert ran.code == 0, ran.err
    first = np.load(next(out.glob("*.npz")))["probabilities"]
    assert first.ndim == 2
    assert 0 <= first.min() < 0.5 < first.max() <= 1
    ran = place.call("evaluate", "--predictions", out, "--dataset", "synthetic-lesions")
    assert ran.code == 0, ran.err
    assert "read as probabilities" in ran.out


def test_largest_component_is_an_option_and_stands_in_the_marker(place, run):
    ran = predicted(place, run, "one", "--largest-component", "--no-tta")
    assert ran.code == 0, ran.err
    marker = json.loads((place.folder / "one" / "segbench.json").read_text())
    assert marker["largest_component"] is True
    assert marker["tta"] is False
    for path in (place.folder / "one").glob("*.png"):
        assert ndimage.label(np.asarray(Image.open(path)))[1] <= 1


def test_what_is_no_network_is_refused(place, run):
    def refusal(what: object) -> str:
        ran = predicted(place, what, "nothing")
        assert ran.code == 1
        return ran.err

    assert "pickles (.pt, .pth, .ckpt) are not loaded" in refusal(run / "checkpoint.ckpt")
    assert "not a run (no run.json)" in refusal(place.folder)
    assert "has to be trained first: `segbench train unet" in refusal("unet")
    (place.folder / "broken.onnx").write_bytes(b"not a model")
    assert "not a readable ONNX model" in refusal(place.folder / "broken.onnx")


def without_torch(place: Place, *words: object) -> subprocess.CompletedProcess[str]:
    """A real process in which torch cannot be imported."""
    program = (
        "import sys; sys.modules['torch'] = None; sys.argv = ['segbench', *sys.argv[1:]]; "
        "from segbench.commands.app import main; main()"
    )
    return subprocess.run(
        [sys.executable, "-c", program, *map(str, words)],
        env={**os.environ, **place.env}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_without_torch_the_extra_is_named(place):
    done = without_torch(place, *place.train("never"))
    assert done.returncode == 1
    assert "pip install 'segbench[train]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_onnx_model_needs_no_torch(place, run):
    words = ["--dataset", "synthetic-lesions", "--out", place.folder / "no-torch"]
    done = without_torch(place, "predict", run / "model.onnx", *words)
    assert done.returncode == 0, done.stderr
    assert len(list((place.folder / "no-torch").glob("*.png"))) == 24


def test_a_dataset_that_is_not_prepared_names_the_command(place, tmp_path):
    ran = place.call(*place.train("never", "--data", tmp_path))
    assert ran.code == 1
    assert "segbench prepare synthetic-lesions" in ran.err


def test_a_loss_that_is_not_a_number_stops_and_keeps_the_last_good_weights(place, monkeypatch):
    good = Segmenter.training_step

    def fails_later(self, batch, index):
        if self.current_epoch == 1:
            self.model.head.weight.data.fill_(float("nan"))
        return good(self, batch, index)

    monkeypatch.setattr(Segmenter, "training_step", fails_later)
    ran = place.call(*place.train("wild"))
    assert ran.code == 1
    assert "loss nan in epoch 2" in ran.err
    assert "the weights of epoch 1" in ran.err
    assert "learning_rate" in ran.err
    assert all(np.isfinite(v).all() for v in weights(place.folder / "wild").values())


def test_out_of_memory_says_what_to_change(place, monkeypatch):
    def too_much(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    monkeypatch.setattr(Segmenter, "training_step", too_much)
    ran = place.call(*place.train("memory"))
    assert ran.code == 1
    assert "out of memory with batch 8 at 64x" in ran.err
    assert "[train] batch" in ran.err
