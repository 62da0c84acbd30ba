"""Put a folder in its place, whole or not at all, while others do the same.

What is being made is a hidden folder beside its place, locked by its maker. A killed maker leaves
it without the lock: the next run that makes a folder there removes it, and puts back what a killed
one had moved aside.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import re
import secrets
import shutil
import sys
from collections.abc import Callable, Generator
from pathlib import Path

from segbench.errors import SegbenchError

try:
    import fcntl
except ImportError:  # Windows: the rename alone is exclusive, and leftovers stay
    fcntl = None

_HIDDEN = re.compile(r"\.(?P<name>.+)\.segbench-(?P<kind>new|old)-[0-9a-f]{8}")
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # linux/fcntl.h, linux/fs.h
_CANNOT_EXCHANGE = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EPERM}


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


def refuse_nowhere(path: Path) -> None:
    """Refuse a name that no file or folder can have: a loop of links, or too long.

    Raises:
        SegbenchError: It is such a name.
    """
    try:
        path.stat()
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENAMETOOLONG}:
            raise SegbenchError(f"{path}: {error.strerror}; choose another name") from error


def refuse_current(folder: Path) -> None:
    """Refuse the folder that the process is in, or one around it: it cannot be replaced whole.

    Raises:
        SegbenchError: It is, or no folder can have that name.
    """
    refuse_nowhere(folder)
    if Path.cwd().is_relative_to(folder.resolve()):
        raise SegbenchError(
            f"{folder}: is the folder that you are in or lies around it; name one to be made, such "
            f"as {folder / 'out'}"
        )


@contextlib.contextmanager
def building(folder: Path) -> Generator[Path]:
    """An empty hidden folder beside the place of `folder`, gone afterwards unless it was `put`.

    What killed runs left in the same parent is mended first; see `sweep`.

    Args:
        folder: What is to be made; its parent is made where it is missing.

    Raises:
        OSError: The parent cannot be written to.
    """
    parent = folder.absolute().parent
    parent.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as own:
        with locked(parent):  # else another could sweep what is not locked yet
            _sweep(parent)
            around = _hidden(folder.absolute(), "new")
            around.mkdir()
            own.callback(shutil.rmtree, around, ignore_errors=True)
            own.enter_context(locked(around))
        made = around / folder.name  # in a locked one: folders may be placed in it meanwhile
        made.mkdir()
        yield made


def put(
    made: Path, folder: Path, *, check: Callable[[], None] = lambda: None, replace: bool = False
) -> None:
    """Give a folder of `building` its name.

    A folder that is there is exchanged for it in one call where the system can. Elsewhere it steps
    aside for a moment; a kill in this moment is mended by the next `sweep`.

    Args:
        made: The folder.
        folder: Its name.
        check: Called when no other can place a folder there any more; raises to refuse.
        replace: Take the place of the folder that is there.

    Raises:
        SegbenchError: The folder is there and is not to be replaced.
        OSError: It cannot be renamed.
    """
    with locked(folder.absolute().parent):
        check()
        _rename(made, folder, replace=replace)


def _rename(made: Path, folder: Path, *, replace: bool) -> None:
    if not os.path.lexists(folder):
        made.rename(folder)  # fails where a folder with files has come meanwhile
        return
    if not replace:
        raise SegbenchError(f"{folder}: exists; choose another name, or take its place: --replace")
    if _exchange(made, folder):
        return
    aside = _hidden(folder, "old")
    folder.rename(aside)
    try:
        made.rename(folder)
    except OSError:
        aside.rename(folder)
        raise
    aside.rename(made)  # nothing to put back any more


def sweep(parent: Path) -> None:
    """Mend what killed runs left in a folder: put back what had stepped aside, remove the rest.

    Raises:
        OSError: The folder cannot be opened.
    """
    with locked(parent):
        _sweep(parent)


def _sweep(parent: Path) -> None:
    if fcntl is None:
        return
    for path in sorted(parent.glob(".*.segbench-*-*"), reverse=True):  # old before new
        found = _HIDDEN.fullmatch(path.name)
        if found is None or path.is_symlink() or not path.is_dir():
            continue
        if found["kind"] == "new":
            if _abandoned(path):
                shutil.rmtree(path, ignore_errors=True)
        elif os.path.lexists(place := path.with_name(found["name"])):
            # renamed first: what is half removed is never put back
            shutil.rmtree(path.rename(_hidden(place, "new")), ignore_errors=True)
        else:
            path.rename(place)


def _abandoned(folder: Path) -> bool:
    """Whether the maker of a hidden folder is gone."""
    if fcntl is None:
        return False
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def _hidden(folder: Path, kind: str) -> Path:
    return folder.with_name(f".{folder.name}.segbench-{kind}-{secrets.token_hex(4)}")


def _exchange(a: Path, b: Path) -> bool:
    """Exchange two names in one call; False where system or file system cannot."""
    if sys.platform != "linux":
        return False
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is None:
        return False
    if call(_AT_FDCWD, os.fsencode(a), _AT_FDCWD, os.fsencode(b), _RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in _CANNOT_EXCHANGE:
        return False
    raise OSError(code, os.strerror(code), str(a), None, str(b))


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
    try:
        with building(folder) as made:
            fill(made)
            put(made, folder, check=check, replace=replace)
    except OSError as error:
        raise SegbenchError(f"{folder}: could not be written ({error})") from error
