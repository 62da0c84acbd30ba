"""What `import segbench`, `--help` and `--version` load, and what they cost."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "scipy", "pandas", "matplotlib", "skimage", "sklearn", "pyarrow", "pydantic")


def loaded(code: str) -> set[str]:
    program = f"{code}\nimport sys; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return set(done.stdout.splitlines()[-1].split())


COMMAND = """
import sys
sys.argv = ["segbench", {argument!r}]
from segbench.commands.app import app
try:
    app()
except SystemExit:
    pass
"""


@pytest.mark.parametrize(
    "code", ["import segbench", COMMAND.format(argument="--help"), COMMAND.format(argument="--version")],
    ids=["import", "--help", "--version"],
)  # fmt: skip
def test_nothing_heavy_is_loaded(code):
    assert not loaded(code) & {*HEAVY, "numpy", "PIL", "rich"}


def test_the_heavy_ones_are_seen_where_they_are_used():
    """The check above can fail: evaluating does load them."""
    assert {"numpy", "PIL"} <= loaded("import segbench; segbench.evaluate")
