"""Download a dataset from Kaggle with Kaggle's own client, kagglehub.

kagglehub needs no account for a public dataset. It checks the archive's MD5 where Kaggle sends
one, resumes by range requests, and unpacks what Kaggle itself zipped with Python's zipfile, which
writes neither links nor anything outside the folder; so the limits of `archives.unpack` are not
applied here. It reports failure in a dozen types, which are turned into one.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from segbench.errors import SegbenchError

if TYPE_CHECKING:
    from collections.abc import Generator

_REFERENCE: Final = re.compile(
    r"(?P<owner>[A-Za-z0-9][\w-]*)/(?P<slug>[A-Za-z0-9][\w.-]*)(/versions/[1-9][0-9]*)?", re.ASCII
)
_CACHE_VARIABLE: Final = "KAGGLEHUB_CACHE"
_REFUSED: Final = {401, 403}
_MISSING: Final = 404
_CREDENTIALS: Final = (
    "Make a token at https://www.kaggle.com/settings/api and put it into the environment variable "
    "KAGGLE_API_TOKEN or the file ~/.kaggle/access_token (an older kaggle.json goes to ~/.kaggle/)."
)


def fetch_kaggle(reference: str, into: Path) -> Path:
    """Download a public dataset and unpack it.

    kagglehub keeps what it downloads in a cache; for this call the cache lies in `into` and nothing
    is written to the user's own, so removing `into` removes all of it. A broken download is
    continued by the next call, and a whole one is found again.

    Args:
        reference: `owner/slug`, or `owner/slug/versions/N` for one version.
        into: a folder; made where it is missing.

    Returns:
        The folder with the dataset's files, below `into` (in a Kaggle notebook: the mounted one).

    Raises:
        SegbenchError: no network, no access, no such dataset, a damaged download, no room.
    """
    parts = _REFERENCE.fullmatch(reference)
    if parts is None:
        raise SegbenchError(
            f"{reference!r}: not a Kaggle dataset. Expected owner/slug as in its address "
            "https://www.kaggle.com/datasets/owner/slug, or owner/slug/versions/N."
        )
    page = f"https://www.kaggle.com/datasets/{parts['owner']}/{parts['slug']}"
    try:
        into.mkdir(parents=True, exist_ok=True)
        import kagglehub  # noqa: PLC0415

        with _cache_in(into), _quiet():
            return Path(kagglehub.dataset_download(reference))
    except (Exception, SystemExit) as error:  # the client may end the process
        _forget_damaged(into / "datasets" / parts["owner"] / parts["slug"], error)
        raise SegbenchError(
            f"Kaggle dataset {reference}: {_reason(error)} Or download the archive in a browser "
            f"from {page} and give it with --source PATH."
        ) from error


def _reason(error: BaseException) -> str:
    """What went wrong, and what to do about it."""
    import requests  # noqa: PLC0415

    status = getattr(getattr(error, "response", None), "status_code", None)
    said = " ".join(str(error).split())
    if status in _REFUSED:
        return (
            f"Kaggle refused it (HTTP {status}): it is private, asks you to accept its terms, or "
            f"needs a sign-in. {_CREDENTIALS}"
        )
    if status == _MISSING:
        return "Kaggle knows no such dataset (HTTP 404). Check the reference."
    if isinstance(error, SystemExit) or "credential" in said.lower():
        return (
            f"Kaggle's client wants credentials ({said or 'it ended the program'}). {_CREDENTIALS}"
        )
    broken = requests.exceptions.ChunkedEncodingError
    if isinstance(error, (requests.ConnectionError, requests.Timeout, broken)):
        return (
            "Kaggle cannot be reached, or the connection broke off. Check the network and run "
            "again; what has arrived is kept and continued."
        )
    return f"the download failed ({type(error).__name__}: {said}). Run again."


def _forget_damaged(folder: Path, error: BaseException) -> None:
    """Remove archives that are no archives, which kagglehub would take for whole ever after."""
    import zipfile  # noqa: PLC0415

    if isinstance(error, (ValueError, zipfile.BadZipFile)):
        for archive in folder.rglob("*.archive"):
            archive.unlink()


@contextlib.contextmanager
def _cache_in(folder: Path) -> Generator[None]:
    """Let kagglehub keep its files in this folder."""
    before = os.environ.get(_CACHE_VARIABLE)
    os.environ[_CACHE_VARIABLE] = str(folder.resolve())
    try:
        yield
    finally:
        if before is None:
            del os.environ[_CACHE_VARIABLE]
        else:
            os.environ[_CACHE_VARIABLE] = before


@contextlib.contextmanager
def _quiet() -> Generator[None]:
    """Keep kagglehub's log and advice off the screen; its progress bar, on stderr, stays."""
    logger = logging.getLogger("kagglehub")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)
