"""Fixtures shared by the tests: where the real data is, and datasets prepared once."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

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


@pytest.fixture(scope="session")
def segbench():
    """Run the real command line: `segbench("evaluate", "--predictions", folder)`."""

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
