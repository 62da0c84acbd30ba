"""Compile the kernels when segbench is installed (a hatchling build hook).

One shared library, put beside the C files: an editable install finds it there, a wheel packs it.
Without a C compiler, or where it fails, segbench is installed all the same and NumPy stands in.

    python benchmark/build_kernels.py      compiles in place, after a change of a C file
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from packaging.tags import platform_tags

FOLDER = "benchmark/segbench/kernels"
LIBRARY = "library.so"
COMPILERS = ("cc", "gcc", "clang")
# No -march: wheels travel. No contraction: results are the same on every machine, to the last bit.
FLAGS = (
    *("-std=c11", "-O3", "-fPIC", "-shared", "-fvisibility=hidden"),
    *("-ffp-contract=off", "-fno-math-errno"),
)


def compiler() -> list[str] | None:
    """The command named by CC, or the first C compiler there is."""
    if os.environ.get("CC"):
        return shlex.split(os.environ["CC"])
    found = next(filter(None, map(shutil.which, COMPILERS)), None)
    return None if found is None else [found]


def compile_kernels(folder: Path) -> str:
    """Compile the folder's C files into its library; an older library is removed in any case.

    Environment: CC, and CFLAGS after our own flags.

    Returns:
        What kept it from being compiled; "" when all went well.
    """
    library, unfinished = folder / LIBRARY, folder / f"{LIBRARY}.tmp"
    library.unlink(missing_ok=True)
    command = compiler()
    if command is None:
        return f"no C compiler: none of {', '.join(COMPILERS)} found, and CC is not set"
    command += [*FLAGS, *shlex.split(os.environ.get("CFLAGS", ""))]
    command += ["-o", str(unfinished), *map(str, sorted(folder.glob("*.c"))), "-lm"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    except OSError as error:
        return f"{command[0]}: {error}"
    if done.returncode != 0 or not unfinished.exists():
        unfinished.unlink(missing_ok=True)
        return f"{shlex.join(command)} failed ({done.returncode}):\n{done.stderr.strip()}"
    unfinished.replace(library)  # never written in place: a running process may have the old one
    return ""


class KernelsHook(BuildHookInterface[Any]):
    """Compiles the kernels into the wheel, or warns."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Compile, and mark the wheel as one for this platform."""
        problem = compile_kernels(Path(self.root) / FOLDER)
        if problem:
            self.app.display_warning(f"segbench: kernels not compiled, NumPy stands in. {problem}")
            return
        platform = next(tag for tag in platform_tags() if not tag.startswith(("many", "musl")))
        build_data["artifacts"].append(f"/{FOLDER}/{LIBRARY}")
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform}"

    def clean(self, versions: list[str]) -> None:  # noqa: ARG002
        """Remove the library."""
        (Path(self.root) / FOLDER / LIBRARY).unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(compile_kernels(Path(__file__).parents[1] / FOLDER) or None)
