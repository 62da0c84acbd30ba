"""The bytes in an archive: counted against the limits as they come out, and written once."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from segbench.errors import SegbenchError
from segbench.masks.names import shown
from segbench.prepare.members import AGAIN, BY_HAND, Limits

if TYPE_CHECKING:
    from pathlib import Path, PurePosixPath

Progress = Callable[[int, int], None]
"""Called with the bytes done and the bytes there are (of the archive, or of what it holds)."""

CHUNK: Final = 1 << 20


class Readable(Protocol):
    """Whatever bytes can be read from."""

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes; none at the end."""
        ...


@dataclass(slots=True)
class Budget:
    """How many bytes have come out of an archive, and how many may."""

    archive: Path
    limits: Limits
    tell: Callable[[int], None]
    """Called with the bytes spent, as files are written."""
    spent: int = 0
    compressed: int = field(init=False)

    def __post_init__(self) -> None:
        self.compressed = self.archive.stat().st_size

    @property
    def allowed(self) -> int:
        """Bytes that may come out: the smaller of `max_bytes` and what the ratio gives."""
        by_ratio = max(self.limits.ratio_floor_bytes, self.limits.max_ratio * self.compressed)
        return min(self.limits.max_bytes, int(by_ratio))

    def foresee(self, declared: int, folder: Path) -> None:
        """Refuse before the first byte what the archive itself says is too much.

        Raises:
            SegbenchError: the declared size is over the limit, or over the free space.
        """
        if declared > self.allowed:
            raise self._too_much(f"says that it holds {declared:,} bytes")
        free = shutil.disk_usage(folder).free
        if declared > free:
            raise SegbenchError(
                f"{self.archive}: holds {declared:,} bytes, and the disk of {folder.parent} has "
                f"{free:,} bytes free. Nothing was unpacked. Make room, or choose another place."
            )

    def spend(self, amount: int, member: str) -> None:
        """Count bytes that came out.

        Raises:
            SegbenchError: they are more than may.
        """
        self.spent += amount
        if self.spent > self.allowed:
            raise self._too_much(f"gave more than that by member {shown(member)}")

    def _too_much(self, found: str) -> SegbenchError:
        rule = (
            f"{self.limits.max_bytes:,} bytes"
            if self.allowed == self.limits.max_bytes
            else f"{self.allowed:,} bytes ({self.limits.max_ratio:g} times its own "
            f"{self.compressed:,} bytes, or {self.limits.ratio_floor_bytes:,} if that is more)"
        )
        return SegbenchError(
            f"{self.archive}: {found}; at most {rule} may come out of it, because an archive that "
            f"swells beyond that is usually made to fill the disk. Nothing was kept. {BY_HAND}"
        )


@dataclass(slots=True)
class Metered:
    """A source whose bytes are counted as they are read."""

    source: Readable
    budget: Budget
    member: str = ""

    def read(self, size: int = -1, /) -> bytes:
        """As the source reads; raises `SegbenchError` where the limit is passed."""
        chunk = self.source.read(size)
        self.budget.spend(len(chunk), self.member)
        return chunk


@contextmanager
def reading(archive: Path, member: str = "") -> Generator[None]:
    """Turn whatever a decoder raises on damaged bytes into a message about the archive."""
    try:
        yield
    except SegbenchError:
        raise
    except Exception as error:  # decoders fed with garbage raise anything, even IndexError
        raise damaged(archive, str(error) or type(error).__name__, member=member) from error


def damaged(archive: Path, why: str, *, member: str = "") -> SegbenchError:
    """The error for bytes that are not what the format promises."""
    where = f"member {shown(member)} is damaged or cut short" if member else "damaged or cut short"
    return SegbenchError(f"{archive}: {where} ({why}). Nothing was kept. {AGAIN}")


def write_file(folder: Path, path: PurePosixPath, source: Readable, budget: Budget) -> int:
    """Write one member below the folder.

    Returns:
        How many bytes it has.

    Raises:
        SegbenchError: the source is damaged or gives too much.
        OSError: the disk does not take it.
    """
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("xb") as file:
        while chunk := _next(source, path, budget.archive):
            file.write(chunk)
            budget.tell(budget.spent)
        return file.tell()


def _next(source: Readable, path: PurePosixPath, archive: Path) -> bytes:
    with reading(archive, str(path)):
        return source.read(CHUNK)
