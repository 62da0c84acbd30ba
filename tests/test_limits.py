"""docs/limits.md says what the code holds."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / "docs" / "limits.md"
ROWS = [
    (cells[0], int(cells[1].replace(",", "")), cells[3].strip("`"))
    for line in PAGE.read_text(encoding="utf-8").splitlines()
    if re.match(r"\| [^|]+ \| [\d,]+ \|", line)
    for cells in [[cell.strip() for cell in line.strip("|").split("|")]]
]


def test_the_table_has_its_rows():
    assert len(ROWS) == len(set(ROWS)) >= 20


@pytest.mark.parametrize(("what", "most", "where"), ROWS, ids=[where for *_, where in ROWS])
def test_a_limit_is_as_the_page_says(what, most, where):
    module, _, name = where.rpartition(".")
    assert getattr(importlib.import_module(f"segbench.{module}"), name) == most, what
