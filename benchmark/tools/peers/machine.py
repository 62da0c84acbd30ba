"""The machine that measures, in words."""

from __future__ import annotations

import os
from pathlib import Path


def machine() -> str:
    """The processor in words."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.split(":", 1)[1].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        model = "unknown processor"
    load = os.getloadavg()[2]  # of the last quarter of an hour
    busy = f"busy with other work too (load average {load:.1f})" if load > 1.5 else "else idle"  # noqa: PLR2004
    return f"{model}, {os.cpu_count()} cores, {busy}"
