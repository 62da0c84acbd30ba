"""The names in an archive: which are safe to write, which are litter, and which are refused."""

from __future__ import annotations

import os
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from segbench.errors import Problems, SegbenchError
from segbench.masks.names import name_problem, shown

BY_HAND: Final = (
    "If you trust the archive, unpack it with another program and give the folder: --source FOLDER."
)
AGAIN: Final = (
    "Get the archive again from the source its card names (if segbench downloaded it, delete it "
    "first); if it stays like this, tell whoever published it."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much may come out of one archive.

    Attributes:
        max_members: files and folders listed, those that are skipped included.
        max_bytes: bytes that really come out of the decompressor. Headers may lie, so this is
            counted while reading; a size that a header admits is only used to refuse earlier.
        max_ratio: bytes that come out for each byte of the archive. Photographs give 1 to 3,
            bitmaps 4 to 20, masks that are nearly all background a few hundred, bombs 1000 and
            (nested or overlapping) millions.
        ratio_floor_bytes: the ratio does not apply below this size, so that an archive of masks
            alone, small however well it is packed, is not taken for a bomb.
    """

    max_members: int = 100_000
    max_bytes: int = 20 * 1024**3
    max_ratio: float = 200.0
    ratio_floor_bytes: int = 100 * 1024**2


_HINTS: Final = {
    "name that leads out of the folder": "expected names relative to the archive, without `..`, a "
    "leading slash or a drive letter; this archive is made to write elsewhere, so do not unpack "
    f"it with anything. {AGAIN}",
    "control character in a name": f"expected printable names. {BY_HAND}",
    "name that this system cannot store": 'expected names without <>:"|?*, without a dot or space '
    f"at the end, and none of CON, PRN, AUX, NUL, COM1, LPT1. {BY_HAND}",
    "name that is too long or too deep": "expected at most 64 folders, 255 bytes for each and 4096 "
    f"characters in all. {BY_HAND}",
    "name that is there twice": f"expected each file once; which of them is meant? {BY_HAND}",
    "names that differ in case only": "expected names that stay apart where upper and lower case, "
    f"or two spellings of an accent, are the same file (macOS, Windows). {BY_HAND}",
    "file that is also a folder": f"expected one or the other. {AGAIN}",
    "link": "expected files and folders only; a symbolic or hard link can lead out of the folder. "
    f"{BY_HAND}",
    "device or pipe": f"expected files and folders only. {AGAIN}",
    "sparse file": f"expected files that are stored whole. {BY_HAND}",
    "encrypted file": "expected an archive without a password. Unpack it with the password in "
    "another program and give the folder: --source FOLDER.",
    "archive within the archive": "expected the pictures themselves; archives in archives hide "
    f"their size. Unpack the inner one and give it or its folder: --source PATH. {BY_HAND}",
    "unknown compression": "expected one that Python's zipfile reads (stored, deflate, bzip2, "
    f"LZMA). {BY_HAND}",
    "old version of a file": f"expected one version of each file. {BY_HAND}",
    "part of an archive in several files": "expected one whole archive. Join the parts by "
    "unpacking them with another program, and give the folder: --source FOLDER.",
}
#: A compressed single file (.csv.gz, .nii.gz) is data, not an archive.
_NESTED: Final = re.compile(
    r"\.(zip|zipx|z\d\d|rar|r\d\d|7z|cab|iso|tar|tgz|tbz2?|txz|tzst|tar\.\w+|(zip|7z|rar)\.\d+)$",
    re.IGNORECASE,
)
_JUNK_FOLDER: Final = "__MACOSX"
_JUNK: Final = re.compile(r"(\.DS_Store|Thumbs\.db|desktop\.ini|\._.*)$", re.IGNORECASE)
_UNSTORABLE: Final = re.compile(
    r'.*[<>:"|?*].*|.*[. ]|(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?', re.IGNORECASE
)
_ON_WINDOWS: Final = os.name == "nt"


class Listing:
    """The members of one archive, each checked by itself and against those before it.

    What is wrong is collected; `settle` raises all of it at once.
    """

    def __init__(self, archive: Path, limits: Limits) -> None:
        self._archive = archive
        self._limits = limits
        self._problems = Problems()
        self._count = 0
        #: folded path -> the path as first spelled, and whether it is a folder
        self._seen: dict[str, tuple[str, bool]] = {}

    def add(self, name: str, *, folder: bool = False) -> PurePosixPath | None:
        """Check one more member.

        Args:
            name: as the archive has it, with either separator.
            folder: it is a folder.

        Returns:
            Where it belongs below the folder, or None where nothing is to be written: the
            archive's own root, a desktop's litter, or a name that is refused.

        Raises:
            SegbenchError: more members than the limits allow.
        """
        self.count(name)
        path = name.replace("\\", "/")
        parts = [part for part in path.split("/") if part not in {"", "."}]
        problem = _problem_of(path, parts)
        if problem:
            self.refuse(problem, name)
            return None
        if not parts or _JUNK_FOLDER in parts or (not folder and _JUNK.match(parts[-1])):
            return None
        if not folder and _NESTED.search(parts[-1]):
            self.refuse("archive within the archive", name)
            return None
        return PurePosixPath(*parts) if self._place(parts, name, folder=folder) else None

    def count(self, name: str) -> None:
        """Count a member, of whatever kind."""
        self._count += 1
        if self._count > self._limits.max_members:
            raise SegbenchError(
                f"{self._archive}: more than {self._limits.max_members:,} members (the next is "
                f"{shown(name)}), which is the limit for a dataset. Nothing was unpacked. {BY_HAND}"
            )

    def refuse(self, problem: str, name: str) -> None:
        """Note that a member is refused, and why: one of the kinds in `_HINTS`."""
        self._problems.add(problem, shown(name), hint=_HINTS[problem])

    def settle(self) -> None:
        """Raise everything found wrong so far.

        Raises:
            SegbenchError: what, in which members, and what to do.
        """
        self._problems.raise_if_any(f"{self._archive}: refused, and nothing was unpacked:")

    def require_files(self) -> None:
        """Raise where nothing but folders and litter was listed."""
        if all(folder for _, folder in self._seen.values()):
            raise SegbenchError(
                f"{self._archive}: holds no files ({self._count} members, all folders or litter). "
                f"Expected the images and masks of a dataset. {AGAIN}"
            )

    def _place(self, parts: list[str], name: str, *, folder: bool) -> bool:
        """Note the path and its folders; False, and a problem, where one is taken."""
        spelled = folded = ""
        is_new = False
        for depth, part in enumerate(parts, start=1):
            spelled, folded = f"{spelled}/{part}", f"{folded}/{_fold(part)}"
            is_folder = folder or depth < len(parts)
            is_new = folded not in self._seen
            before, was_folder = self._seen.setdefault(folded, (spelled, is_folder))
            if before != spelled:
                self.refuse("names that differ in case only", f"{before[1:]} and {spelled[1:]}")
                return False
            if was_folder != is_folder:
                self.refuse("file that is also a folder", spelled[1:])
                return False
        if not (folder or is_new):
            self.refuse("name that is there twice", name)
        return folder or is_new


def _problem_of(path: str, parts: list[str]) -> str:
    """What is wrong with a name by itself; empty where nothing is."""
    problem = name_problem(path, parts)
    if not problem and _ON_WINDOWS and any(_UNSTORABLE.fullmatch(part) for part in parts):
        return "name that this system cannot store"
    return problem


def _fold(part: str) -> str:
    """The spelling that two names share on a disk blind to case and to accents' composition."""
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", part).casefold())
