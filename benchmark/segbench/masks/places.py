"""Where files lie: a folder here, or a URL that fsspec knows (s3://, gs://, https://, zip://).

A place here is a `pathlib.Path`, and costs what it costs; fsspec is imported for URLs alone. Of
fsspec little is used, to list what lies below a URL once and to read whole files. Archives are
never opened by it: they are copied and read by `segbench.masks.archives`, which refuses bombs,
links and names that lead elsewhere. Credentials and endpoints are found as the storage's own
library finds them (for S3: AWS_ACCESS_KEY_ID, AWS_PROFILE, AWS_ENDPOINT_URL, ...).
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import tempfile
import time
import weakref
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import IO, Any, Final, Protocol
from urllib.parse import quote, unquote, urlsplit

from segbench.errors import Problems, SegbenchError
from segbench.masks.archives import (
    MAX_BYTES,
    MAX_MEMBER_BYTES,
    Archive,
    limit_bytes,
    limit_members,
    open_tar,
    open_zip,
)
from segbench.masks.names import name_problem, shown

AT_A_TIME: Final = 32
"""Files to ask a storage for at the same time: reading them is mostly waiting."""

_TRIES: Final = 3
_WAIT_S: Final = 0.5
_BLOCK: Final = 1 << 20
_PACKED: Final = ("zip", "tar")
_HINTS: Final = {
    "s3": "credentials are found as by the AWS tools (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
    "or AWS_PROFILE); another server is named by AWS_ENDPOINT_URL, and a public bucket is read "
    "without credentials with FSSPEC_S3_ANON=true",
    "gs": "credentials are found as by gcloud (GOOGLE_APPLICATION_CREDENTIALS)",
}


def is_url(text: object) -> bool:
    """Whether a place is named by a URL."""
    return isinstance(text, Remote) or (isinstance(text, str) and "://" in text)


def place_of(text: str | Place) -> Place:
    """The place of a path or a URL; `file://` URLs are paths, and `~` is the user's folder."""
    if isinstance(text, Remote):
        return text
    if isinstance(text, Path):
        return expanded(text)
    if text.startswith("file://"):
        return Path(unquote(urlsplit(text).path))
    return Remote(text.rstrip("/")) if is_url(text) else expanded(Path(text))


def expanded(path: Path) -> Path:
    """A path with the user's folder for `~`; as it is where there is no such user."""
    return Path(os.path.expanduser(path))  # noqa: PTH111  Path.expanduser raises


def absolute(place: Place) -> Place:
    """The same place, whatever folder a process works in."""
    return place.absolute() if isinstance(place, Path) else place


@dataclass(frozen=True)
class Remote:
    """A folder or file at a URL, with as much of `pathlib.Path` as is needed.

    Attributes:
        url: Where it was opened; `zip://FOLDER::ARCHIVE` is what an archive, at a path or a URL,
            holds in a folder.
        inside: The path below.
        token: Of the opening. What is kept of a URL in memory (an archive's copy) is used again
            for the same opening only, here and in workers.
    """

    url: str
    inside: str = ""
    token: str = field(default_factory=secrets.token_hex, repr=False)

    def __str__(self) -> str:
        if not self.inside:
            return self.url
        first, chained, rest = self.url.partition("::")
        return f"{first.rstrip('/')}/{self.inside}{chained}{rest}"

    def __truediv__(self, name: str) -> Remote:
        """What a name below leads to.

        Raises:
            SegbenchError: It leads elsewhere.
        """
        parts = [part for part in name.split("/") if part]
        if problem := name_problem(name, parts):
            raise SegbenchError(f"{self}: {problem}: {shown(name)}; nothing was read")
        return replace(self, inside="/".join([*filter(None, [self.inside]), *parts]))

    @property
    def name(self) -> str:
        """The last part, of an archive's folder the archive's if it has no name."""
        path = str(self).partition("::")
        first = path[0].partition("://")[2] or path[2]
        return first.partition("?")[0].rstrip("/").rpartition("/")[2]

    @property
    def packed(self) -> bool:
        """Whether it is in an archive."""
        return self.url.startswith(tuple(f"{kind}://" for kind in _PACKED))

    def read_bytes(self, limit: int = MAX_MEMBER_BYTES) -> bytes:
        """The whole file.

        Raises:
            FileNotFoundError: There is none.
            MaskFileError: It is larger than the limit, or a damaged member of an archive.
            SegbenchError: It cannot be read; the message says what to do.
        """
        with _named(self):
            data = _store(self.url, self.token).read(self.inside, limit)
        limit_bytes(self.inside or self.url, len(data), limit)
        return data

    def exists(self) -> bool:
        """Whether a file is there.

        Raises:
            SegbenchError: That cannot be found out.
        """
        with _named(self):
            return _store(self.url, self.token).exists(self.inside)

    def files(self) -> Mapping[str, str]:
        """The path from here of every file below, with its version ("" where none is kept).

        Raises:
            SegbenchError: They cannot be listed, or a name is refused.
        """
        with _named(self):
            found = _store(self.url, self.token).files(self.inside)
        limit_members(str(self), len(found))
        problems = Problems()
        for name in found:
            if problem := name_problem(name, name.split("/")):
                problems.add(problem, shown(name))
        problems.raise_if_any(f"{self}: refused, and nothing was read:")
        return found

    def folders(self) -> list[Remote]:
        """The folders right below; none where there is nothing.

        Raises:
            SegbenchError: They cannot be listed.
        """
        with contextlib.suppress(FileNotFoundError), _named(self):
            return [self / n for n in sorted(_store(self.url, self.token).folders(self.inside))]
        return []


Place = Path | Remote


class _Store(Protocol):
    """Files by their path below one URL."""

    def read(self, inside: str, limit: int) -> bytes: ...
    def exists(self, inside: str) -> bool: ...
    def files(self, inside: str) -> dict[str, str]: ...
    def folders(self, inside: str) -> set[str]: ...


@lru_cache(maxsize=8)
def _store(url: str, token: str) -> _Store:
    del token
    scheme, _, rest = url.partition("://")
    if scheme in _PACKED:
        folder, chained, target = rest.partition("::")
        return _open_packed(scheme, place_of(target if chained else rest), folder * bool(chained))
    from fsspec.core import url_to_fs  # noqa: PLC0415

    # listings are not kept: they are read once here, and would be old at the next opening
    return _Objects(*url_to_fs(url, use_listings_cache=False))


@dataclass(frozen=True)
class _Objects:
    """What fsspec reads."""

    system: Any
    root: str

    def _path(self, inside: str) -> str:
        return f"{self.root.rstrip('/')}/{self._quoted(inside)}" if inside else self.root

    @property
    def _http(self) -> bool:
        return "http" in self.system.protocol

    def _quoted(self, name: str) -> str:
        return quote(name) if self._http else name

    def read(self, inside: str, limit: int) -> bytes:
        """No more than a byte over the limit is asked for; that much says that it is too large."""
        path = self._path(inside)
        for tries_left in reversed(range(_TRIES)):
            try:
                if not self._http:
                    return self.system.cat_file(path, start=0, end=limit + 1)
                with self.system.open(path, "rb", block_size=0) as stream:  # 0: no HEAD before
                    return _read_up_to(stream, limit + 1)
            except (FileNotFoundError, PermissionError, ValueError):
                raise
            except Exception as error:  # each storage has its own
                if getattr(error, "errno", None) == errno.EINVAL:  # a range of an empty file
                    return self.system.cat_file(path)
                if not tries_left:
                    raise
                time.sleep(_WAIT_S)
        raise AssertionError

    def exists(self, inside: str) -> bool:
        return bool(self.system.exists(self._path(inside)))

    def files(self, inside: str) -> dict[str, str]:
        path = self._path(inside)
        listed = self._linked(path) if self._http else self.system.find(path, detail=True)
        versions = {self._below(name, path): _version(info) for name, info in listed.items()}
        versions.pop("", None)
        return versions

    def _linked(self, folder: str) -> dict[str, Any]:
        """What web pages that list a folder and those below link to, and to nothing above."""
        found: dict[str, Any] = {}
        known = {folder}
        waiting = [folder]
        while waiting:
            for info in self.system.ls(f"{waiting.pop().rstrip('/')}/", detail=True):
                name = info["name"].rstrip("/")
                if not self._below(name, folder) or name in known:
                    continue
                known.add(name)
                limit_members(folder, len(known))
                if info["type"] == "directory":
                    waiting.append(name)
                else:
                    found[name] = info
        return found

    def folders(self, inside: str) -> set[str]:
        path = self._path(inside)
        listed = self.system.ls(path + "/" * self._http, detail=True)
        names = (self._below(i["name"], path) for i in listed if i["type"] == "directory")
        return {name for name in names if name and "/" not in name}

    def _below(self, found: str, folder: str) -> str:
        """The path from a folder; empty for the folder and for what lies elsewhere.

        A web page has other links too: to its own columns, sorted, and to the folder above.
        """
        start = folder.rstrip("/") + "/"
        name = found.removeprefix(start).rstrip("/") if found.startswith(start) else ""
        if not self._http:
            return name
        return "" if "?" in name or "#" in name or ".." in name.split("/") else unquote(name)


def _version(info: Mapping[str, Any]) -> str:
    """What changes with an object's content, as its storage says; "" where it says nothing."""
    return next((str(info[key]) for key in ("ETag", "etag", "md5Hash") if info.get(key)), "")


def _read_up_to(stream: IO[bytes], size: int) -> bytes:
    parts: list[bytes] = []
    while size > 0 and (block := stream.read(min(size, _BLOCK))):
        parts.append(block)
        size -= len(block)
    return b"".join(parts)


@dataclass(frozen=True)
class _Packed:
    """What an archive holds below one of its folders."""

    archive: Archive
    folder: str

    def _path(self, inside: str) -> str:
        return "/".join(filter(None, [self.folder, inside]))

    @cached_property
    def _members(self) -> dict[str, str]:
        """Members by their plain path."""
        names = self.archive.names
        return {"/".join(part for part in n.split("/") if part not in {"", "."}): n for n in names}

    def read(self, inside: str, limit: int) -> bytes:
        del limit  # the archive has its own
        path = self._path(inside)
        if path not in self._members:
            raise FileNotFoundError(path)
        return self.archive.read(self._members[path])

    def exists(self, inside: str) -> bool:
        return self._path(inside) in self._members

    def files(self, inside: str) -> dict[str, str]:
        start = self._path(inside)
        start += "/" * bool(start)
        return {n.removeprefix(start): "" for n in self._members if n.startswith(start)}

    def folders(self, inside: str) -> set[str]:
        return {name.partition("/")[0] for name in self.files(inside) if "/" in name}


def _open_packed(kind: str, place: Place, folder: str) -> _Packed:
    opened = open_zip if kind == "zip" else open_tar
    if isinstance(place, Path):
        if not place.is_file():
            raise SegbenchError(
                f"{place}: no such file; expected {kind}://FOLDER/IN/IT::/path/to/archive.{kind}, "
                f"where the archive may be a URL too"
            )
        archive = opened(place)
    else:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder_of_copy:
            copy = Path(folder_of_copy) / "archive"
            _download(place, copy)
            archive = opened(copy, origin=str(place))  # open files outlive their names
    packed = _Packed(archive, folder.strip("/"))
    weakref.finalize(packed, archive.close)
    return packed


def _download(place: Remote, to: Path) -> None:
    """Copy one file.

    Raises:
        SegbenchError: It is not there, or larger than any archive that is read.
    """
    from fsspec.core import url_to_fs  # noqa: PLC0415

    with _named(place), contextlib.ExitStack() as stack:
        system, path = url_to_fs(str(place), use_listings_cache=False)
        streamed = {"block_size": 0} if "http" in system.protocol else {}
        stream = stack.enter_context(system.open(path, "rb", **streamed))
        out = stack.enter_context(to.open("wb"))
        while block := stream.read(_BLOCK):
            out.write(block)
            if out.tell() > MAX_BYTES:
                raise SegbenchError(f"{place}: over {MAX_BYTES >> 30} GiB; give a folder")


@contextlib.contextmanager
def _named(place: Remote) -> Generator[None]:
    """Let errors say which place it was and what to do, whatever library they come from."""
    try:
        yield
    except (SegbenchError, FileNotFoundError):
        raise
    except ImportError as error:
        missing = (error.name or "").partition(".")[0] or str(error)
        raise SegbenchError(
            f"{place}: to read it {missing} is needed, which is not installed: "
            f"pip install 'segbench[remote]' (from a checkout: pip install -e '.[remote]'; for "
            f"gs:// also gcsfs, for az:// adlfs)"
        ) from error
    except Exception as error:  # botocore, aiohttp and each storage's own
        scheme = place.url.rpartition("::")[2].partition("://")[0]
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        hint = _HINTS.get(scheme, "is the address right, and is the server there?")
        raise SegbenchError(f"{place}: cannot be read ({said}); {hint}") from error
