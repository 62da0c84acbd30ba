"""The archives that the datasets really come in unpack to exactly what they hold."""

from __future__ import annotations

import struct
import zipfile
import zlib
from pathlib import Path

import pytest

from segbench.prepare.archives import unpack

SHARED = Path(__file__).parents[1].parent / "shared" / "data"


def shared(name: str) -> Path:
    if not (SHARED / name).exists():
        pytest.skip(f"{SHARED / name} is not on this machine")
    return SHARED / name


def test_mads_sample_equals_what_zipfile_reads(tmp_path):
    archive = shared("mads-sample.zip")
    unpack(archive, tmp_path / "out")
    with zipfile.ZipFile(archive) as container:
        expected = {info.filename: info.CRC for info in container.infolist() if not info.is_dir()}
    found = {
        path.relative_to(tmp_path / "out").as_posix(): zlib.crc32(path.read_bytes())
        for path in (tmp_path / "out").rglob("*")
        if path.is_file()
    }
    assert found == expected


def test_ph2_is_whole(tmp_path):
    unpack(shared("PH2Dataset.tar.xz"), tmp_path / "out")
    bitmaps = list((tmp_path / "out").rglob("*.bmp"))
    assert sum(path.parent.name.endswith("_Dermoscopic_Image") for path in bitmaps) == 200
    assert sum(path.parent.name.endswith("_lesion") for path in bitmaps) == 200
    for path in bitmaps:
        with path.open("rb") as file:
            magic, size = struct.unpack("<2sI", file.read(6))
        assert (magic, size) == (b"BM", path.stat().st_size), path
