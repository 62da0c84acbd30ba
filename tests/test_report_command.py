"""The command that a report gives computes the same: run for every option of `evaluate`."""

from __future__ import annotations

import html
import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import typer.main
from PIL import Image

from segbench.commands.app import app

TRUTH = np.zeros((12, 16), np.uint8)
TRUTH[3:9, 4:12] = 1

CHANGES_NO_NUMBER = {
    "--predictions", "--references", "--data", "--out", "--jobs", "--json", "--dask",
    "--reliability", "--dialect",
}  # fmt: skip
OF_DATASETS = {"--dataset", "--split", "--fold", "--by"}
"""Of prepared datasets: tested below, together."""

GIVEN = {
    "--suffix": ("_p",),
    "--ending": ("png",),
    "--ids": ("(im[0-9])_p",),
    "--form": ("binary",),
    "--map": ("255=1",),
    "--extra": ("ignore",),
    "--missing": ("worst",),
    "--resize": ("nearest",),
    "--classes": ("skin,mole",),
    "--background": (),
    "--references-suffix": ("-r",),
    "--references-ending": ("png",),
    "--references-ids": ("(im[0-9])-r",),
    "--references-form": ("binary",),
    "--references-map": ("-1=ignore,255=1",),
    "--references-255": ("object",),
    "--threshold": ("0.3",),
    "--min-score": ("0.5",),
    "--rle-order": ("rows",),
    "--surface": (),
    "--spacing-mm": ("0.5,0.25",),
    "--tolerance": ("1.5",),
    "--boundary": ("length",),
    "--percentile": ("90",),
    "--percentile-rule": ("pooled",),
    "--dilation-ratio": ("0.1",),
    "--topology": (),
    "--skeleton": ("lee",),
    "--connectivity": ("4",),
    "--iou-threshold": ("0.5",),
    "--empty": ("1",),
    "--empty-distance": ("inf",),
    "--soft": (),
    "--bins": ("7",),
    "--binning": ("mass",),
    "--clip": ("0.001",),
    "--interval": ("bca",),
}
OF_SURFACES = {
    "--surface", "--spacing-mm", "--tolerance", "--boundary", "--percentile", "--percentile-rule",
    "--dilation-ratio", "--empty-distance",
}  # fmt: skip
SOFT = {"--threshold", "--soft", "--bins", "--binning", "--clip"}


def options() -> set[str]:
    command = typer.main.get_command(app).commands["evaluate"]
    return {param.opts[0] for param in command.params}


def test_no_option_is_forgotten():
    assert options() == {*GIVEN, *CHANGES_NO_NUMBER, *OF_DATASETS}


def words_of(option: str, values: tuple[str, ...]) -> list[str]:
    negated = option in {"--background", "--surface"}
    flag = f"--no-{option[2:]}" if negated else option
    return [f"{flag}={values[0]}"] if values else [flag]


def inputs(folder: Path, option: str) -> tuple[Path, Path]:
    """Predictions and references that need the option, or at least feel it."""
    predictions, references = folder / "p", folder / "r"
    for made in (predictions, references):
        made.mkdir()
    end = "-r" if option in {"--references-suffix", "--references-ids"} else ""
    for i in range(6):
        Image.fromarray(np.roll(TRUTH, i, 0) * np.uint8(255)).save(references / f"im{i}{end}.png")
        if option in SOFT:
            soft = np.roll(TRUTH, i + 1, 1) * 0.6 + np.linspace(0.01, 0.39, 16)
            np.save(predictions / f"im{i}_p.npy", soft)
            continue
        if i == 5 and option == "--missing":
            continue
        guess = np.roll(TRUTH, i + 1, 1) * np.uint8(255)
        guess = guess[::2, ::2] if i == 5 and option == "--resize" else guess
        Image.fromarray(guess).save(predictions / f"im{i}_p.png")
    if option == "--background":
        for made in (predictions, references):
            for path in made.iterdir():
                Image.fromarray(np.asarray(Image.open(path)) // 255).save(path)
    if option == "--extra":
        Image.fromarray(TRUTH).save(predictions / "im9_p.png")
    return tables(folder, option) or predictions, references


def tables(folder: Path, option: str) -> Path | None:
    """A table of run lengths, for the options of tables."""
    if option == "--min-score":
        found = [
            {"image_id": f"im{i}", "category_id": 1, "score": 0.5 + 0.2 * (-1) ** (i + j),
             "segmentation": {"size": [12, 16], "counts": [12 * (3 + j), 24, 12 * (11 - j)]}}
            for i in range(6) for j in range(2)
        ]  # fmt: skip
        return write(folder / "p.json", json.dumps(found))
    if option == "--rle-order":
        lines = ["id,rle", *(f"im{i},{20 + i} 9" for i in range(6))]
        return write(folder / "p.csv", "\n".join(lines))
    return None


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def command_in(report: Path) -> list[str]:
    text = html.unescape(report.read_text())
    (line,) = set(re.findall(r"segbench evaluate --predictions PREDICTIONS[^<\n]*", text))
    return shlex.split(line)[1:]


@pytest.mark.parametrize("option", GIVEN)
def test_the_command_of_a_report_computes_the_same(tmp_path, segbench, option):
    predictions, references = inputs(tmp_path, option)
    words = words_of(option, GIVEN[option])
    if predictions.is_dir() and option not in {"--suffix", "--ids"}:
        words += ["--suffix", "_p"]
    words += ["--no-surface"] if option not in OF_SURFACES else []
    words += ["--soft"] if option in SOFT - {"--soft", "--threshold"} else []
    words += ["--topology"] if option in {"--skeleton", "--connectivity"} else []
    words += ["--classes", "skin,mole"] if option == "--background" else []
    places = ("--predictions", predictions, "--references", references)
    ran = segbench("evaluate", *places, *words, "--out", tmp_path / "out")
    assert ran.code == 0, ran.err
    named = {"PREDICTIONS": str(predictions), "REFERENCES": str(references)}
    command = [named.get(word, word) for word in command_in(tmp_path / "out" / "report.html")]
    again = segbench(*command, "--json")
    assert again.code == 0, again.err
    assert json.loads(again.out) == json.loads((tmp_path / "out" / "scores.json").read_text())


def test_the_command_names_the_dataset(tmp_path, segbench, synthetic):
    words = ("--dataset", "synthetic-lesions", "--fold", "1", "--by", "skin", "--no-surface")
    predictions = synthetic / "synthetic-lesions" / "masks"
    ran = segbench(
        "evaluate", "--predictions", predictions, "--data", synthetic, *words, "--extra", "ignore",
        "--out", tmp_path / "out",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    command = command_in(tmp_path / "out" / "report.html")
    command[command.index("PREDICTIONS")] = str(predictions)
    again = segbench(*command, "--data", synthetic, "--json")
    assert json.loads(again.out) == json.loads((tmp_path / "out" / "scores.json").read_text())
