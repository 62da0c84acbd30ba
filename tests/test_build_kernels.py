"""The kernels are compiled when segbench is built, and it builds without a compiler as well."""

from __future__ import annotations

import ctypes
import importlib.util
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytest.importorskip("hatchling")


@pytest.fixture
def hook():
    spec = importlib.util.spec_from_file_location("hook", ROOT / "benchmark" / "build_kernels.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def sources(tmp_path, hook):
    """A copy of the C files, with a library from before."""
    shutil.copytree(
        ROOT / hook.FOLDER, tmp_path / "kernels", ignore=lambda _, names: {"library.so"} & {*names}
    )
    (tmp_path / "kernels" / "library.so").write_text("old")
    return tmp_path / "kernels"


def needs_compiler(hook):
    if hook.compiler() is None:
        pytest.skip("no C compiler here")


def test_the_library_is_compiled_beside_the_sources(hook, sources):
    needs_compiler(hook)
    assert hook.compile_kernels(sources) == ""
    assert ctypes.CDLL(str(sources / "library.so")).segbench_interface() > 0
    assert not list(sources.glob("*.tmp"))


@pytest.mark.parametrize("command", ["false", "a-compiler-that-is-not-there", "true"])
def test_a_compiler_that_fails_is_said_and_leaves_no_old_library(
    hook, sources, monkeypatch, command
):
    monkeypatch.setenv("CC", command)
    assert command in hook.compile_kernels(sources)
    assert not (sources / "library.so").exists()


def test_no_compiler_at_all_is_said(hook, sources, monkeypatch, tmp_path):
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "no C compiler" in hook.compile_kernels(sources)
    assert not (sources / "library.so").exists()


def test_warnings_of_the_compiler_are_none(hook, sources, monkeypatch):
    needs_compiler(hook)
    monkeypatch.setenv("CFLAGS", "-Wall -Wextra -Wpedantic -Werror")
    assert hook.compile_kernels(sources) == ""


def build_wheel(folder: Path, **environment: str) -> tuple[str, list[str]]:
    """Build a wheel of a copy of the checkout: the file's name, and the names of what it holds."""
    copy = folder / "checkout"
    for name in ("benchmark", "datasets", "baselines"):
        shutil.copytree(ROOT / name, copy / name)
    for name in ("pyproject.toml", "README.md", "LICENSE", ".gitignore"):
        shutil.copy(ROOT / name, copy)
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=copy, env=environment, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return wheel.name, zipfile.ZipFile(wheel).namelist()


def test_a_wheel_holds_the_library_and_names_its_platform(hook, tmp_path, monkeypatch):
    needs_compiler(hook)
    monkeypatch.delenv("CC", raising=False)
    name, held = build_wheel(tmp_path, PATH=str(Path(shutil.which("cc") or "").parent))
    assert "segbench/kernels/library.so" in held
    assert "segbench/kernels/native.py" in held
    assert "-py3-none-" in name
    assert "-any" not in name


def test_a_wheel_without_a_compiler_is_pure_python(tmp_path):
    name, held = build_wheel(tmp_path, CC="false")
    assert "segbench/kernels/library.so" not in held
    assert "segbench/kernels/standins.py" in held
    assert name.endswith("-py3-none-any.whl")
