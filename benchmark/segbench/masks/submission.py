"""Where predictions come from: one mask per sample, in a folder, an archive, a table or memory."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import tarfile
import tempfile
import threading
import weakref
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

from segbench.errors import Problems, SegbenchError
from segbench.masks import rle
from segbench.masks.decode import (
    MASK_ENDINGS,
    Decoded,
    Kind,
    MaskFileError,
    Size,
    Value,
    check_size,
    decode,
    from_array,
)

NOT_PREDICTIONS = frozenset(
    {".json", ".pkl", ".txt", ".md", ".log", ".yaml", ".yml", ".toml", ".csv", ".html", ".parquet"}
)
"""Endings that lie beside predictions (nnU-Net's settings and softmax pickles, notes, logs)."""

MAX_MEMBER_BYTES = 2**31
MAX_TAR_BYTES = 2**36
MAX_MEMBERS = 2_000_000

OUR_MARKER = "segbench.json"
"""Lies in folders that `segbench predict` wrote; says how the predictions were made."""

_JUNK = (OUR_MARKER, "__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini")
_ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz")


class Submission(Protocol):
    """Predictions for some samples; `decode` may be called from several threads."""

    @property
    def origin(self) -> str:
        """Where they come from, for messages."""
        ...

    @property
    def ids(self) -> frozenset[str]:
        """The samples for which there is a prediction."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know about how the files were read (files ignored, ...)."""
        ...

    def decode(self, identifier: str, size: Size, *, any_size: bool, threshold: float) -> Decoded:
        """The prediction for one sample as stored.

        Raises:
            MaskFileError: It cannot be read, or has another size and `any_size` is not set.
        """
        ...


@dataclass(frozen=True)
class Files:
    """One mask file a sample, from a folder or an archive."""

    origin: str
    members: Mapping[str, str]
    notes: tuple[str, ...]
    read: Callable[[str], bytes] = field(repr=False)

    @property
    def ids(self) -> frozenset[str]:
        """The samples for which there is a file."""
        return frozenset(self.members)

    def decode(self, identifier: str, size: Size, *, any_size: bool, threshold: float) -> Decoded:
        """Read and decode one file; see `Submission.decode`."""
        name = self.members[identifier]
        ending = "." + name.rpartition(".")[2].lower()
        data = self.read(name)
        return decode(data, ending, expected=None if any_size else size, threshold=threshold)


@dataclass(frozen=True)
class Arrays:
    """Predictions in memory: arrays of ids, 0/255, or probabilities, by sample id."""

    arrays: Mapping[str, NDArray[np.generic]]
    origin: str = "arrays in memory"
    notes: tuple[str, ...] = ()

    @property
    def ids(self) -> frozenset[str]:
        """The samples for which there is an array."""
        return frozenset(self.arrays)

    def decode(self, identifier: str, size: Size, *, any_size: bool, threshold: float) -> Decoded:
        """Check and code one array; see `Submission.decode`."""
        array = np.asarray(self.arrays[identifier])
        return from_array(array, expected=None if any_size else size, threshold=threshold)


@dataclass(frozen=True)
class Runs:
    """Masks as run lengths: for each sample (class value, runs to mask) in any order."""

    origin: str
    regions: Mapping[str, Sequence[tuple[int, Size | None, str | Sequence[int]]]]
    notes: tuple[str, ...] = ()

    @property
    def ids(self) -> frozenset[str]:
        """The samples that the table names."""
        return frozenset(self.regions)

    def decode(self, identifier: str, size: Size, *, any_size: bool, threshold: float) -> Decoded:
        """Paint one sample's regions; see `Submission.decode`.

        Raises:
            MaskFileError: A region is damaged, has another size, or regions of two classes overlap.
        """
        del threshold
        regions = self.regions[identifier]
        own = next((own for _, own, _ in regions if own is not None), size)
        if not any_size:
            check_size(own, size)
        values: tuple[Value, ...] = (0, *sorted({value for value, _, _ in regions} - {0}))
        codes = np.zeros(own, dtype=np.uint8)
        painted = np.zeros(own, dtype=bool)
        for value, region_size, runs in regions:
            if region_size is None:
                mask = rle.kaggle_mask(cast("str", runs), own)
            else:
                check_size(region_size, own)
                counts = rle.decompress(runs) if isinstance(runs, str) else runs
                mask = rle.mask_of(counts, own)
            code = values.index(value)
            if (codes[mask & painted] != code).any():
                raise MaskFileError(
                    "overlapping classes", f"class {value}", hint="a pixel has one class"
                )
            codes[mask] = code
            painted |= mask
        return Decoded(codes, values, Kind.VALUES)


def open_submission(path: Path, *, suffix: str = "", ending: str = "") -> Submission:
    """Find the predictions in a folder, a .zip or .tar, or an RLE table (.json, .csv).

    Args:
        path: The folder or file.
        suffix: What file names carry behind the sample's id (`_pred` in `IMD003_pred.png`).
        ending: Use only files with this ending (`.png`), where a sample has several.

    Raises:
        SegbenchError: There is nothing to read there, or a sample has several files.
    """
    if path.is_dir():
        names = [p.relative_to(path).as_posix() for p in path.rglob("*") if p.is_file()]

        def read(name: str) -> bytes:
            with open(f"{path}/{name}", "rb", buffering=0) as stream:  # noqa: PTH123  many files
                return stream.read()

        return _files(str(path), names, read, suffix, ending)
    if not path.exists():
        raise SegbenchError(
            f"{path}: no such folder or file; expected predictions (a folder, .zip or .tar with "
            f"one mask per sample, or an RLE .json or .csv)"
        )
    name = path.name.lower()
    if name.endswith((".json", ".csv")):
        return read_table(path.read_bytes(), path.name, origin=str(path))
    if zipfile.is_zipfile(path):
        return _from_zip(path, suffix, ending)
    if name.endswith(_ARCHIVES):
        return _from_tar(path, suffix, ending)
    raise SegbenchError(
        f"{path}: not predictions; expected a folder, {', '.join(_ARCHIVES)}, or an RLE table "
        f"(.json, .csv)"
    )


def _from_zip(path: Path, suffix: str, ending: str) -> Submission:
    archive = zipfile.ZipFile(path)
    infos = [i for i in archive.infolist() if not i.is_dir()]
    if any(i.flag_bits & 1 for i in infos):
        raise SegbenchError(f"{path}: encrypted; expected an archive without a password")
    sizes = {i.filename: i.file_size for i in infos}

    def read(name: str) -> bytes:
        _limit(name, sizes[name])
        try:
            with archive.open(name) as member:
                return member.read(sizes[name])
        except Exception as error:  # zipfile and zlib raise many types on damaged members
            raise MaskFileError("unreadable file", str(error)) from error

    submission = _files(str(path), [i.filename for i in infos], read, suffix, ending)
    weakref.finalize(submission, archive.close)
    return submission


def _from_tar(path: Path, suffix: str, ending: str) -> Submission:
    """A compressed tar is inflated once into an unnamed temporary file: it has no index to seek."""
    plain = tempfile.TemporaryFile()  # noqa: SIM115  lives as long as the submission
    try:
        with _inflated(path) as stream:
            while block := stream.read(1 << 20):
                plain.write(block)
                _limit(path.name, plain.tell(), MAX_TAR_BYTES)
        plain.seek(0)
        archive = tarfile.open(fileobj=plain)  # noqa: SIM115  as above
        members = {m.name: m for m in archive if m.isfile()}
        plain.seek(archive.offset)
        whole = plain.read(tarfile.BLOCKSIZE) == bytes(tarfile.BLOCKSIZE)
    except Exception as error:  # tarfile, zlib and lzma raise many types on damaged archives
        plain.close()
        raise SegbenchError(f"{path}: damaged archive ({error}); pack it again") from error
    if not whole:
        plain.close()
        raise SegbenchError(f"{path}: damaged archive (cut short); pack it again")
    lock = threading.Lock()

    def read(name: str) -> bytes:
        _limit(name, members[name].size)
        with lock:
            stream = archive.extractfile(members[name])
            data = stream.read() if stream else b""
        if len(data) != members[name].size:
            raise MaskFileError("unreadable file", f"{len(data)} of {members[name].size} bytes")
        return data

    submission = _files(str(path), list(members), read, suffix, ending)
    weakref.finalize(submission, plain.close)
    return submission


def _inflated(path: Path) -> contextlib.AbstractContextManager[io.BufferedIOBase]:
    import bz2  # noqa: PLC0415
    import gzip  # noqa: PLC0415
    import lzma  # noqa: PLC0415

    with path.open("rb") as stream:
        magic = stream.read(6)
    if magic.startswith(b"\x1f\x8b"):
        return gzip.open(path)
    if magic.startswith(b"BZh"):
        return bz2.open(path)
    if magic.startswith(b"\xfd7zXZ"):
        return lzma.open(path)
    return path.open("rb")


def _limit(name: str, size: int, limit: int = MAX_MEMBER_BYTES) -> None:
    if size > limit:
        raise MaskFileError("file too large", f"{name}: over {limit >> 30} GiB")


def _files(
    origin: str, names: Sequence[str], read: Callable[[str], bytes], suffix: str, ending: str
) -> Submission:
    if len(names) > MAX_MEMBERS:
        raise SegbenchError(f"{origin}: over {MAX_MEMBERS} files; expected one per sample")
    names = sorted(n for n in names if not _is_junk(n))
    masks = [n for n in names if PurePosixPath(n).suffix.lower() in MASK_ENDINGS]
    if ending:
        wanted = "." + ending.lower().lstrip(".")
        masks = [n for n in masks if PurePosixPath(n).suffix.lower() == wanted]
    tables = [n for n in names if n.lower().endswith((".json", ".csv"))]
    if not masks and len(tables) == 1:
        return read_table(read(tables[0]), tables[0], origin=origin)
    if not masks:
        seen = ", ".join(names[:3]) or "nothing"
        raise SegbenchError(
            f"{origin}: no predictions; found {seen}; expected one mask per sample, named "
            f"<id>{suffix}.png (or {', '.join(sorted(MASK_ENDINGS))})"
        )
    members = _by_id(origin, _same_folder(origin, masks), suffix)
    ignored = sorted(set(names) - set(members.values()))
    return Files(origin, members, _about_ignored(origin, ignored, ending), read)


def _is_junk(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return any(p in _JUNK or p.startswith("._") for p in parts) or parts[-1].startswith(".")


def _same_folder(origin: str, masks: Sequence[str]) -> Sequence[str]:
    """All masks lie in one folder: the top, or one wrapping folder (at any depth)."""
    folders = sorted({PurePosixPath(n).parent.as_posix() for n in masks})
    if len(folders) > 1:
        shown = ", ".join(folders[:3])
        raise SegbenchError(
            f"{origin}: masks in {len(folders)} folders ({shown}{', ...' * (len(folders) > 3)}); "  # noqa: PLR2004
            f"expected one folder with one mask per sample: name that folder"
        )
    return masks


def _by_id(origin: str, masks: Sequence[str], suffix: str) -> dict[str, str]:
    members: dict[str, str] = {}
    problems = Problems()
    for name in masks:
        path = PurePosixPath(name)
        stem = path.name[: -len(path.suffix)]
        if not stem.endswith(suffix):
            problems.add(
                f"name without the suffix {suffix!r}", path.name, hint="expected <id><suffix>.png"
            )
            continue
        identifier = stem.removesuffix(suffix)
        if identifier in members:
            first = PurePosixPath(members[identifier]).name
            problems.add(
                "duplicate id",
                f"{identifier} in {first} and {path.name}",
                hint="keep one, or say which is meant with --ending .png",
            )
        members[identifier] = name
    problems.raise_if_any(f"{origin}: the predictions were not read")
    return members


def _about_ignored(origin: str, ignored: Sequence[str], ending: str) -> tuple[str, ...]:
    """Say which files were left out; refuse those that might be predictions after all."""
    odd = [
        n
        for n in ignored
        if PurePosixPath(n).suffix.lower() not in NOT_PREDICTIONS
        and not (ending and PurePosixPath(n).suffix.lower() in MASK_ENDINGS)
    ]
    if odd:
        raise SegbenchError(
            f"{origin}: {len(odd)} files are not masks that can be read: {', '.join(odd[:5])}; "
            f"expected {', '.join(sorted(MASK_ENDINGS))}"
        )
    if not ignored:
        return ()
    shown = ", ".join(ignored[:3]) + (", ..." if len(ignored) > 3 else "")  # noqa: PLR2004
    return (f"ignored {len(ignored)} files that are not predictions: {shown}",)


def read_table(data: bytes, name: str, *, origin: str) -> Submission:
    """Read a whole submission from a COCO results .json or a Kaggle .csv of run lengths.

    Raises:
        SegbenchError: The file is neither.
    """
    try:
        text = data.decode("utf-8-sig")
        return _coco(text, origin) if name.lower().endswith(".json") else _kaggle(text, origin)
    except (ValueError, KeyError, TypeError, AttributeError, csv.Error) as error:
        raise SegbenchError(
            f"{origin}: {name} is not a table of run lengths ({type(error).__name__}: {error}); "
            f"expected COCO results [{{image_id, category_id, segmentation: {{size, counts}}}}] "
            f"or a Kaggle CSV with an id and an EncodedPixels column"
        ) from error


def _coco(text: str, origin: str) -> Submission:
    parsed = json.loads(text)
    if isinstance(parsed, dict):
        parsed = parsed["annotations"]
    regions: dict[str, list[tuple[int, Size | None, str | Sequence[int]]]] = {}
    for item in cast("list[dict[str, object]]", parsed):
        segmentation = cast("dict[str, object]", item["segmentation"])
        height, width = cast("list[int]", segmentation["size"])
        counts = cast("str | list[int]", segmentation["counts"])
        if not isinstance(counts, str):
            counts = [int(c) for c in counts]
        region = (int(cast("int", item["category_id"])), (int(height), int(width)), counts)
        regions.setdefault(str(item["image_id"]), []).append(region)
    if not regions:
        raise ValueError("no masks in it")
    return Runs(f"{origin} (COCO RLE)", regions)


_ID_COLUMNS = ("id", "imageid", "image_id", "img", "image", "filename")
_RUN_COLUMNS = ("encodedpixels", "rle_mask", "rle", "segmentation", "encoded_pixels")
_CLASS_COLUMNS = ("class", "classid", "class_id", "label", "category_id")

BINARY_VALUE = 255
"""A Kaggle table without a class column marks the one foreground class, as 0/255 masks do."""


def _kaggle(text: str, origin: str) -> Submission:
    reader = csv.DictReader(io.StringIO(text))
    header = {name.strip().lower(): name for name in reader.fieldnames or ()}
    column = {
        what: next((header[c] for c in names if c in header), None)
        for what, names in (("id", _ID_COLUMNS), ("runs", _RUN_COLUMNS), ("class", _CLASS_COLUMNS))
    }
    if column["id"] is None or column["runs"] is None:
        raise ValueError(f"its columns are {', '.join(header)}")
    regions: dict[str, list[tuple[int, Size | None, str | Sequence[int]]]] = {}
    for row in reader:
        identifier = row[column["id"]].strip()
        name = PurePosixPath(identifier)
        if name.suffix.lower() in MASK_ENDINGS:
            identifier = name.name[: -len(name.suffix)]
        value = int(row[column["class"]]) if column["class"] else BINARY_VALUE
        runs = (row[column["runs"]] or "").strip()
        of_sample = regions.setdefault(identifier, [])
        if any(known == value for known, _, _ in of_sample):
            raise ValueError(f"{identifier} has two rows for one class")
        of_sample.append((value, None, "" if runs.lower() in {"nan", "-1", "1 0"} else runs))
    if not regions:
        raise ValueError("no rows in it")
    return Runs(f"{origin} (Kaggle RLE)", regions)
