"""Put a folder in its place, whole or not at all, while others do the same."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Generator
from pathlib import Path

from segbench.errors import SegbenchError

try:
    import fcntl
except ImportError:  # Windows: the rename alone is exclusive
    fcntl = None


@contextlib.contextmanager
def locked(folder: Path) -> Generator[None]:
    """Hold a folder against others who lock it too; the lock ends with the process."""
    if fcntl is None:
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def refuse_current(folder: Path) -> None:
    """Refuse the folder that the process is in, or one around it: it cannot be replaced whole.

    Raises:
        SegbenchError: It is.
    """
    if Path.cwd().is_relative_to(folder.resolve()):
        raise SegbenchError(
            f"{folder}: is the folder that you are in or lies around it; name one to be made, such "
            f"as {folder / 'out'}"
        )


def place_folder(
    folder: Path,
    fill: Callable[[Path], None],
    *,
    check: Callable[[], None] = lambda: None,
    replace: bool = False,
) -> None:
    """Make a folder.

    Args:
        folder: The folder to make; its parent is made where it is missing. Where it is a link,
            the folder that it names is replaced, not the link.
        fill: Writes the files into a hidden folder beside it.
        check: Called when no other can place a folder there any more; raises to refuse.
        replace: Take the place of the folder that is there.

    Raises:
        SegbenchError: It exists and is not to be replaced, or cannot be written; nothing is left.
    """
    refuse_current(folder)
    folder = folder.resolve()
    parent = folder.absolute().parent
    made: Path | None = None
    try:
        parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=parent))
        made.chmod(0o755)  # mkdtemp makes it private
        fill(made)
        with locked(parent):
            check()
            _rename(made, folder, replace=replace)
    except OSError as error:
        raise SegbenchError(f"{folder}: could not be written ({error})") from error
    finally:
        if made is not None:
            shutil.rmtree(made, ignore_errors=True)


def _rename(made: Path, folder: Path, *, replace: bool) -> None:
    if not os.path.lexists(folder):
        made.rename(folder)  # fails where a folder with files has come meanwhile
        return
    if not replace:
        raise SegbenchError(f"{folder}: exists; choose another name, or take its place: --replace")
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=made.parent))
    try:
        before = folder.rename(aside / folder.name)
        try:
            made.rename(folder)
        except OSError:
            before.rename(folder)
            raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
