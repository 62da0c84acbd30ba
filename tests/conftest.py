"""Fixtures shared by the tests: where the real data is, and datasets prepared once."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

import segbench as sb
from segbench.board.entry import Cost, Digests, Entry, Latency, Links, Method, Training
from segbench.board.write import masks_of, predictions_digest, write_entry
from segbench.commands.app import TRACEBACK, main
from segbench.masks.encode import encode_mask

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data"
PH2_TAR = SHARED / "PH2Dataset.tar.xz"
MADS_ZIP = SHARED / "mads-sample.zip"


@dataclass(frozen=True)
class Ran:
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str


Run = Callable[..., Ran]


@pytest.fixture(scope="session")
def segbench() -> Run:
    """Run the command line in this process: `segbench("evaluate", "--predictions", folder)`.

    A process of its own takes seconds to import what this one holds already. An exception that is
    no refusal reaches the test.
    """

    def run(*arguments: object, env: dict[str, str] | None = None, cwd: Path | None = None) -> Ran:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.ExitStack() as stack:
            stack.enter_context(mock.patch.dict(os.environ, {TRACEBACK: "1", **(env or {})}))
            stack.enter_context(mock.patch.object(sys, "argv", ["segbench", *map(str, arguments)]))
            stack.enter_context(contextlib.chdir(cwd or Path.cwd()))
            stack.enter_context(contextlib.redirect_stdout(out))
            stack.enter_context(contextlib.redirect_stderr(err))
            stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("default")  # as there: printed, not raised
            ended = stack.enter_context(pytest.raises(SystemExit))
            main()
        code = ended.value.code
        assert code is None or isinstance(code, int), code
        return Ran(code or 0, out.getvalue(), err.getvalue())

    return run


@pytest.fixture(scope="session")
def segbench_process() -> Run:
    """The same in a process of its own, for what only that shows: its environment, its end."""

    def run(*arguments: object, env: dict[str, str] | None = None, cwd: Path | None = None) -> Ran:
        done = subprocess.run(
            [sys.executable, "-m", "segbench", *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            cwd=cwd,
            env={**os.environ, "PYTHONWARNINGS": "default", **(env or {})},
        )
        assert "Traceback" not in done.stderr, done.stderr
        assert done.returncode != 3, done.stderr
        return Ran(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture(scope="session")
def synthetic(tmp_path_factory, segbench) -> Path:
    """A data folder with synthetic-lesions prepared."""
    data = tmp_path_factory.mktemp("synthetic")
    ran = segbench("prepare", "synthetic-lesions", "--data", data)
    assert ran.code == 0, ran.err
    return data


@pytest.fixture(scope="session")
def ph2(tmp_path_factory, segbench) -> Path:
    """A data folder with the real PH2 prepared from its archive."""
    if not PH2_TAR.exists():
        pytest.skip(f"the real PH2 archive is not beside the checkout ({PH2_TAR.name})")
    data = tmp_path_factory.mktemp("ph2")
    ran = segbench("prepare", "ph2", "--source", PH2_TAR, "--data", data)
    assert ran.code == 0, ran.err
    return data


@pytest.fixture(scope="session")
def mads(tmp_path_factory, segbench) -> Path:
    """A data folder with the real MADS sample prepared."""
    if not MADS_ZIP.exists():
        pytest.skip(f"the real MADS sample is not beside the checkout ({MADS_ZIP.name})")
    data = tmp_path_factory.mktemp("mads")
    ran = segbench("prepare", "mads", "--source", MADS_ZIP, "--data", data, "--partial")
    assert ran.code == 0, ran.err
    return data


SCRIPT = "<script>alert(1)</script>"
ATTRIBUTE = '"><img src=x onerror=alert(1)>'
LONG = (
    "https://example.org/portfolio/views/projects/segmentation_of_moles_in_dermoscopic_images.html"
)


@pytest.fixture(scope="session")
def cases(tmp_path_factory) -> Path:
    """Small inputs that broke once, where their maker lies beside the repository."""
    maker = Path(__file__).parents[2] / "shared" / "cases" / "make.py"
    if not maker.exists():
        pytest.skip("../shared/cases is not there")
    out = tmp_path_factory.mktemp("cases") / "out"
    subprocess.run([sys.executable, str(maker), str(out)], check=True, capture_output=True)
    return out


@pytest.fixture(scope="session")
def board_results(tmp_path_factory, synthetic) -> Path:
    """A results folder of synthetic-lesions; every text of `near` and of the paper is hostile."""
    folder = tmp_path_factory.mktemp("board")
    moves = {"exact": 0, "near": 3, "near-again": -3, "far": 25, "copied": 1}
    for name, shift in moves.items():
        _moved_entry(folder, synthetic, name, shift)
    paper = folder / "results" / "synthetic-lesions" / "paper"
    paper.mkdir()
    entry = {
        "name": "paper",
        "status": "published",
        "authors": [SCRIPT],
        "date": "2026-11-23",
        "dataset": "synthetic-lesions",
        "dataset_version": "1",
        "method": {"title": SCRIPT, "description": ATTRIBUTE},
        "training": {"data": "theirs"},
        "cost": {},
        "published": {
            "source": f"{ATTRIBUTE} {LONG}",
            "protocol": SCRIPT,
            "scores": {"dice": 0.957},
        },
    }
    (paper / "entry.json").write_text(json.dumps(entry))
    return folder / "results"


def _moved_entry(folder: Path, data: Path, name: str, shift: int) -> None:
    """References moved sideways, as an entry."""
    dataset = sb.PreparedDataset.open(data / "synthetic-lesions")
    masks = folder / f"masks-{name}"
    masks.mkdir()
    for row in dataset.select("test"):
        moved = np.roll(dataset.read_mask(row), shift, axis=1)
        (masks / f"{row.id}.png").write_bytes(encode_mask(moved, dataset.classes))
    result = sb.evaluate(masks, dataset=dataset.name, data=data, by=["skin"])
    read = masks_of(result, masks)
    hostile = name == "near"
    entry = Entry(
        name=name,
        status="reported" if name == "copied" else "verified",
        authors=(SCRIPT if hostile else "us",),
        date=dt.date(2026, 11, 23),
        dataset=dataset.name,
        dataset_version=dataset.version,
        split="test",
        method=Method(
            title=f"=1+1 {SCRIPT}\u2028{ATTRIBUTE}" if hostile else f"References, moved by {shift}",
            description=SCRIPT if hostile else "References, moved.",
            reference=ATTRIBUTE if hostile else "",
            commands=(SCRIPT,) if hostile else ("segbench predict this",),
        ),
        training=Training(data=ATTRIBUTE if hostile else "none"),
        cost=Cost(
            parameters={"near": 1_500_000, "far": 200_000}.get(name),
            latencies=(Latency(milliseconds=12.5, device=ATTRIBUTE),) if hostile else (),
        ),
        links=Links(paper="https://example.org/?a=1&b=2") if hostile else Links(),
        digests=Digests(
            data=result.digest,
            predictions=predictions_digest((i.id, read(i.id)) for i in result.target.items),
        ),
        segbench_version=sb.__version__,
    )
    write_entry(entry, result, read, folder / "results" / dataset.name / name)
