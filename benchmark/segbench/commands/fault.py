"""What a person is told of an exception that nobody foresaw: one line, and a file with the rest."""

from __future__ import annotations

import os
import platform
import shlex
import sys
import tempfile
import traceback

from segbench._version import __version__
from segbench.commands.console import note

MAX_SHOWN = 300


def tell_fault(error: Exception) -> None:
    """Print one line and write the traceback to a file; to stderr where none can be written."""
    said = " ".join("".join(traceback.format_exception_only(error)).split())
    said = said if len(said) <= MAX_SHOWN else f"{said[:MAX_SHOWN]}..."
    whole = (
        f"segbench {__version__}, Python {platform.python_version()}, {platform.platform()}\n"
        f"{shlex.join(sys.argv)}\n\n{''.join(traceback.format_exception(error))}"
    )
    line = f"fault: {said}: this is a fault of segbench, please report it"
    try:
        descriptor, path = tempfile.mkstemp(prefix="segbench-fault-", suffix=".txt")
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(whole)
    except OSError:
        note(f"{line} with what follows\n{whole}")
    else:
        note(f"{line} with {path}")
